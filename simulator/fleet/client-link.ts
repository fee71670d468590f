import { connect, type MqttClient } from 'mqtt';
import {
  ANSWER_DEADLINE_MS,
  CLOSE_DEADLINE_MS,
  type DeviceLink,
  type DeviceLinkEvents,
  type DeviceLinkOptions,
  KEEPALIVE_SECONDS,
  type LinkOpener,
  type QoS,
  telemetryTopic,
} from './device-link.ts';

/** Opens links to `mqtt://` and `mqtts://` addresses. */
export function createClientLinks(url: string): LinkOpener {
  return (options, events) => new ClientLink(url, options, events);
}

/**
 * A link over the `mqtt` package: for TLS, and as a second opinion on what a link does.
 *
 * The mqtt client keeps unacknowledged QoS 1 and 2 messages and sends them again after a reconnection, whatever `clean`
 * says, one at a time and without the DUP flag; only then does it emit `connect`. A message published before that fails
 * if the connection breaks again, and message ids wrap round silently after 65,535. So this class takes messages only
 * while the link is ready, and its owner bounds how many are in flight. QoS 2 asks for a persistent session: without
 * one the server forgets which messages it has.
 */
class ClientLink implements DeviceLink {
  readonly #client: MqttClient;
  readonly #topic: string;
  readonly #qos: QoS;
  readonly #events: DeviceLinkEvents;
  #ready = false;
  #inFlight = 0;
  #connection = 0;

  constructor(url: string, { deviceId, qos, reconnectMs }: DeviceLinkOptions, events: DeviceLinkEvents) {
    this.#topic = telemetryTopic(deviceId);
    this.#qos = qos;
    this.#events = events;
    this.#client = connect(url, {
      clientId: deviceId,
      clean: qos !== 2,
      keepalive: KEEPALIVE_SECONDS,
      reconnectPeriod: reconnectMs,
      reconnectOnConnackError: true,
      connectTimeout: ANSWER_DEADLINE_MS,
    });
    this.#client.on('connect', () => this.#onConnect());
    this.#client.on('close', () => this.#onClose());
    this.#client.on('error', (error) => events.failed(error));
  }

  get ready(): boolean {
    return this.#ready;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  publish(payload: Buffer, token: number): void {
    const connection = this.#connection;
    this.#inFlight++;
    this.#client.publish(this.#topic, payload, { qos: this.#qos }, (error) => {
      if (this.#qos === 0 && connection !== this.#connection) return;
      this.#inFlight--;
      if (error) this.#events.failed(error);
      else this.#events.acknowledged(token);
    });
  }

  async close(): Promise<void> {
    this.#ready = false;
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, CLOSE_DEADLINE_MS);
      this.#client.end(this.#inFlight > 0, () => {
        clearTimeout(deadline);
        resolve();
      });
    });
  }

  #onConnect(): void {
    this.#ready = true;
    this.#events.ready();
  }

  #onClose(): void {
    this.#connection++;
    if (this.#qos === 0) this.#inFlight = 0;
    if (!this.#ready) return;
    this.#ready = false;
    this.#events.lost();
  }
}
