import type { QoS } from './device-link.ts';

const PUBLISH = 0x30;
const DUP = 0x08;

/** Length of a PUBLISH packet, bytes. `topic` is ASCII. */
export function publishLength(topic: string, payloadBytes: number, qos: QoS): number {
  const remaining = remainingLength(topic, payloadBytes, qos);
  return 1 + lengthBytes(remaining) + remaining;
}

/** A PUBLISH packet as it goes on the wire. */
export interface PublishPacket {
  /** ASCII. */
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  /** 1 to 65,535; ignored with QoS 0. */
  readonly id: number;
  readonly dup: boolean;
}

/** Writes a packet of `publishLength` bytes at `at`, and returns where it ends. */
export function writePublish(target: Buffer, at: number, packet: PublishPacket): number {
  const { topic, payload, qos } = packet;
  let end = at;
  target[end++] = PUBLISH | (qos << 1) | (packet.dup ? DUP : 0);
  let rest = remainingLength(topic, payload.length, qos);
  while (rest > 0x7f) {
    target[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[end++] = rest;
  target[end++] = topic.length >>> 8;
  target[end++] = topic.length & 0xff;
  end += target.write(topic, end, 'latin1');
  if (qos > 0) {
    target[end++] = packet.id >>> 8;
    target[end++] = packet.id & 0xff;
  }
  target.set(payload, end);
  return end + payload.length;
}

function remainingLength(topic: string, payloadBytes: number, qos: QoS): number {
  return 2 + topic.length + (qos > 0 ? 2 : 0) + payloadBytes;
}

function lengthBytes(remaining: number): number {
  if (remaining < 0x80) return 1;
  if (remaining < 0x4000) return 2;
  return remaining < 0x20_0000 ? 3 : 4;
}
