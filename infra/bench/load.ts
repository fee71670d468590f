import { connect, type Socket } from 'node:net';
import mqttPacket from 'mqtt-packet';
import { answerParent, subjectOptions, tellParent } from './subject.ts';

/** Publishes a number of QoS 1 messages over raw sockets, a bounded number unacknowledged per client, then reports. */
interface LoadOptions {
  readonly port: number;
  readonly clients: number;
  readonly inFlight: number;
  readonly messages: number;
}

const PUBACK = 0x40;
const PUBACK_BYTES = 4;
const CONNACK_BYTES = 4;

class Publisher {
  readonly #socket: Socket;
  readonly #deviceId: string;
  readonly #onAcknowledged: (count: number) => void;
  #messageId = 0;
  #seq = 0;
  #toSend = 0;
  #inFlight = 0;
  #restBytes = 0;
  readonly #maxInFlight: number;

  private constructor(
    socket: Socket,
    deviceId: string,
    inFlight: number,
    onAcknowledged: (count: number) => void,
  ) {
    this.#socket = socket;
    this.#deviceId = deviceId;
    this.#maxInFlight = inFlight;
    this.#onAcknowledged = onAcknowledged;
  }

  static async open(
    port: number,
    deviceId: string,
    inFlight: number,
    onAcknowledged: (count: number) => void,
  ): Promise<Publisher> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.write(
          mqttPacket.generate({
            cmd: 'connect',
            clientId: deviceId,
            protocolId: 'MQTT',
            protocolVersion: 4,
            clean: true,
            keepalive: 0,
          }),
        );
      });
      socket.once('data', (bytes) => {
        if (bytes.length === CONNACK_BYTES && bytes[3] === 0) resolve();
        else reject(new Error('connection refused by the broker'));
      });
    });
    const publisher = new Publisher(socket, deviceId, inFlight, onAcknowledged);
    socket.on('data', (bytes) => publisher.#onData(bytes));
    socket.on('error', (error) => {
      throw error;
    });
    return publisher;
  }

  send(messages: number): void {
    this.#toSend += messages;
    this.#fill();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Everything that comes back is a four-byte PUBACK. */
  #onData(bytes: Buffer): void {
    if (this.#restBytes === 0 && bytes[0] !== PUBACK) throw new Error(`expected PUBACK, got ${bytes[0]}`);
    const total = this.#restBytes + bytes.length;
    const acknowledged = Math.floor(total / PUBACK_BYTES);
    this.#restBytes = total % PUBACK_BYTES;
    this.#inFlight -= acknowledged;
    this.#onAcknowledged(acknowledged);
    this.#fill();
  }

  #fill(): void {
    const packets: Buffer[] = [];
    while (this.#toSend > 0 && this.#inFlight < this.#maxInFlight) {
      packets.push(this.#nextPacket());
      this.#toSend--;
      this.#inFlight++;
    }
    if (packets.length > 0) this.#socket.write(Buffer.concat(packets));
  }

  #nextPacket(): Buffer {
    this.#messageId = (this.#messageId % 65_535) + 1;
    const value = (this.#seq % 1_000) / 10;
    const payload = `{"ts":${Date.now()},"seq":${this.#seq++},"metrics":{"temperature":${20 + value},"humidity":${value},"setpoint":21.5,"heating":true}}`;
    return mqttPacket.generate({
      cmd: 'publish',
      topic: `devices/${this.#deviceId}/telemetry`,
      payload,
      qos: 1,
      messageId: this.#messageId,
      dup: false,
      retain: false,
    });
  }
}

const { port, clients, inFlight, messages } = subjectOptions<LoadOptions>();
let acknowledged = 0;
let startedAt = performance.now();
const publishers: Publisher[] = [];
answerParent(async () => {
  for (const publisher of publishers) publisher.close();
});
for (let index = 0; index < clients; index++) {
  publishers.push(await Publisher.open(port, `bench-${index}`, inFlight, onAcknowledged));
}
tellParent({ kind: 'ready', port });
startedAt = performance.now();
for (const publisher of publishers) publisher.send(Math.ceil(messages / clients));

function onAcknowledged(count: number): void {
  acknowledged += count;
  if (acknowledged < Math.ceil(messages / clients) * clients) return;
  const seconds = (performance.now() - startedAt) / 1_000;
  tellParent({ kind: 'result', result: { messages: acknowledged, perSecond: acknowledged / seconds } });
}
