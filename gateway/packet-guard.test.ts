import fc from 'fast-check';
import mqttPacket from 'mqtt-packet';
import { expect, test } from 'vitest';
import { PacketGuard } from './packet-guard.ts';

const MAX_PACKET_BYTES = 300;

const packet = fc
  .record({
    topic: fc.constantFrom('a', 'a/b'),
    payload: fc.uint8Array({ maxLength: 250 }),
    messageId: fc.nat(65_534),
  })
  .map(({ topic, payload, messageId }) =>
    mqttPacket.generate({
      cmd: 'publish',
      topic,
      payload: Buffer.from(payload),
      qos: 1,
      messageId: messageId + 1,
      dup: false,
      retain: false,
    }),
  );
const small = fc.constantFrom(Buffer.from([0xc0, 0]), Buffer.from([0x40, 2, 0, 1]));
const packets = fc.array(fc.oneof(packet, small), { maxLength: 12 });
const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 50 });

test('packets within the bound pass, however the stream is cut', () => {
  fc.assert(
    fc.property(packets, cuts, (whole, lengths) => {
      const guard = new PacketGuard(MAX_PACKET_BYTES);
      for (const chunk of cut(Buffer.concat(whole), lengths)) expect(guard.inspect(chunk)).toBeUndefined();
    }),
  );
});

test('a packet beyond the bound is noticed from its header, however the stream is cut', () => {
  const tooLarge = fc.integer({ min: MAX_PACKET_BYTES + 1, max: 268_435_455 });
  fc.assert(
    fc.property(packets, tooLarge, cuts, (before, bytes, lengths) => {
      const guard = new PacketGuard(MAX_PACKET_BYTES);
      const stream = Buffer.concat([...before, Buffer.from([0x30, ...lengthBytes(bytes)])]);
      const faults = cut(stream, lengths).map((chunk) => guard.inspect(chunk));
      expect(faults.at(-1)).toMatchObject({ kind: 'packet_too_large' });
      expect(faults.slice(0, -1).filter((fault) => fault?.kind === 'malformed_length')).toEqual([]);
    }),
  );
});

test('a packet of exactly the bound passes and one byte more does not', () => {
  expect(new PacketGuard(MAX_PACKET_BYTES).inspect(Buffer.from([0x30, ...lengthBytes(300)]))).toBeUndefined();
  expect(new PacketGuard(MAX_PACKET_BYTES).inspect(Buffer.from([0x30, ...lengthBytes(301)]))).toEqual({
    kind: 'packet_too_large',
    bytes: 301,
  });
});

test('a length of five bytes is malformed', () => {
  const guard = new PacketGuard(0x0fff_ffff);
  expect(guard.inspect(Buffer.from([0x30, 0x80, 0x80, 0x80]))).toBeUndefined();
  expect(guard.inspect(Buffer.from([0x80]))).toEqual({ kind: 'malformed_length' });
});

test('the largest length of MQTT passes where it is allowed', () => {
  expect(new PacketGuard(268_435_455).inspect(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]))).toBeUndefined();
});

function cut(stream: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < stream.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    chunks.push(stream.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

function lengthBytes(length: number): number[] {
  const bytes: number[] = [];
  let rest = length;
  do {
    const more = rest > 127 ? 0x80 : 0;
    bytes.push((rest % 128) | more);
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return bytes;
}
