import { connect, type MqttClient } from 'mqtt';

export type QoS = 0 | 1 | 2;

export interface DeviceLinkOptions {
  readonly url: string;
  readonly deviceId: string;
  readonly qos: QoS;
  /** Time between attempts to connect again, ms. Differs between devices, so that they do not come back at once. */
  readonly reconnectMs: number;
}

/** What happens to a link. Called synchronously; may publish. */
export interface DeviceLinkEvents {
  /** The link is ready, at first or again; everything that was in flight before has been acknowledged. */
  ready(): void;
  /** A connection that was up is lost. */
  lost(): void;
  failed(error: Error): void;
}

const CONNACK_DEADLINE_MS = 10_000;
const CLOSE_DEADLINE_MS = 2_000;
const KEEPALIVE_SECONDS = 30;

/**
 * A device's MQTT connection, which comes back by itself.
 *
 * The mqtt client keeps unacknowledged QoS 1 and 2 messages and sends them again after a reconnection, whatever `clean`
 * says, one at a time and without the DUP flag; only then does it emit `connect`. A message published before that fails
 * if the connection breaks again, and message ids wrap round silently after 65,535. So this class takes messages only
 * while the link is ready, and its owner bounds how many are in flight. QoS 2 asks for a persistent session: without
 * one the server forgets which messages it has.
 */
export class DeviceLink {
  readonly #client: MqttClient;
  readonly #topic: string;
  readonly #qos: QoS;
  readonly #events: DeviceLinkEvents;
  #ready = false;
  #inFlight = 0;
  #connection = 0;

  constructor({ url, deviceId, qos, reconnectMs }: DeviceLinkOptions, events: DeviceLinkEvents) {
    this.#topic = `devices/${deviceId}/telemetry`;
    this.#qos = qos;
    this.#events = events;
    this.#client = connect(url, {
      clientId: deviceId,
      clean: qos !== 2,
      keepalive: KEEPALIVE_SECONDS,
      reconnectPeriod: reconnectMs,
      reconnectOnConnackError: true,
      connectTimeout: CONNACK_DEADLINE_MS,
    });
    this.#client.on('connect', () => this.#onConnect());
    this.#client.on('close', () => this.#onClose());
    this.#client.on('error', (error) => events.failed(error));
  }

  /** Whether `publish` may be called. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Messages published and not yet acknowledged (QoS 0: not yet taken by the socket). */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Publishes a payload. `done` is called at most once: at its PUBACK or PUBCOMP, for QoS 0 when the socket took it. */
  publish(payload: string, done: () => void): void {
    const connection = this.#connection;
    this.#inFlight++;
    this.#client.publish(this.#topic, payload, { qos: this.#qos }, (error) => {
      if (this.#qos === 0 && connection !== this.#connection) return;
      this.#inFlight--;
      if (error) this.#events.failed(error);
      else done();
    });
  }

  /** Disconnects; what is in flight is abandoned. Resolves within two seconds. */
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
