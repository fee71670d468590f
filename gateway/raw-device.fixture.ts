import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import mqttPacket, { type IConnectPacket, type Packet, type QoS } from 'mqtt-packet';
import { eventually } from './eventually.fixture.ts';

export interface RawPublish {
  readonly seq?: number;
  readonly payload?: string | Buffer;
  readonly topic?: string;
  readonly qos?: QoS;
  readonly messageId?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
}

/** A device that speaks bytes: it sends what it is told, when it is told, and keeps what comes back. */
export class RawDevice {
  readonly socket: Socket;
  readonly clientId: string;
  readonly received: Packet[] = [];
  isClosed = false;

  private constructor(socket: Socket, clientId: string) {
    this.socket = socket;
    this.clientId = clientId;
    const parser = mqttPacket.parser({ protocolVersion: 4 });
    parser.on('packet', (packet: Packet) => this.received.push(packet));
    socket.on('data', (bytes) => parser.parse(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** A TCP connection on which nothing was sent. */
  static async dial(port: number, clientId = 'device-1'): Promise<RawDevice> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const device = new RawDevice(socket, clientId);
    await once(socket, 'connect');
    return device;
  }

  /** A connection whose CONNECT was accepted. */
  static async open(port: number, clientId = 'device-1', options: Partial<IConnectPacket> = {}) {
    const device = await RawDevice.dial(port, clientId);
    device.send(connectPacket(clientId, options));
    await eventually(() => {
      if (device.received[0]?.cmd !== 'connack') throw new Error('no CONNACK');
    });
    return device;
  }

  send(...packets: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(packets));
  }

  publish(...messages: readonly RawPublish[]): void {
    this.send(...messages.map((message) => publishPacket(this.clientId, message)));
  }

  /** Message identifiers of the packets of a kind that came back, in order. */
  ids(cmd: Packet['cmd']): (number | undefined)[] {
    return this.received.filter((packet) => packet.cmd === cmd).map(({ messageId }) => messageId);
  }

  close(): void {
    this.socket.destroy();
  }
}

export function connectPacket(clientId: string, options: Partial<IConnectPacket> = {}): Buffer {
  return mqttPacket.generate({
    cmd: 'connect',
    clientId,
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 0,
    ...options,
  });
}

/** A PUBLISH to the client's own telemetry topic unless another is given. */
export function publishPacket(clientId: string, message: RawPublish): Buffer {
  const { seq = 1, qos = 1, messageId = seq, dup = false, retain = false } = message;
  return mqttPacket.generate({
    cmd: 'publish',
    topic: message.topic ?? `devices/${clientId}/telemetry`,
    payload: message.payload ?? `{"ts":1732460000123,"seq":${seq},"metrics":{"temperature":21.5}}`,
    qos,
    dup,
    retain,
    ...(qos === 0 ? {} : { messageId }),
  });
}

/** A SUBSCRIBE with the identifier 9. */
export function subscribePacket(...filters: readonly (readonly [string, QoS])[]): Buffer {
  const subscriptions = filters.map(([topic, qos]) => ({ topic, qos }));
  return mqttPacket.generate({ cmd: 'subscribe', messageId: 9, subscriptions });
}

export function pubrelPacket(messageId: number): Buffer {
  return mqttPacket.generate({ cmd: 'pubrel', messageId });
}

/** Resolves when bytes written so far have reached the other side's process: a PINGREQ was answered. */
export async function roundTrip(device: RawDevice): Promise<void> {
  const before = device.ids('pingresp').length;
  device.send(mqttPacket.generate({ cmd: 'pingreq' }));
  await eventually(() => {
    if (device.ids('pingresp').length === before) throw new Error('no PINGRESP');
  });
}
