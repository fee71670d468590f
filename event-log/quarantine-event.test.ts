import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeQuarantineEvent,
  encodeQuarantineEvent,
  QUARANTINE_REASONS,
  type QuarantineEvent,
  UndecodableQuarantineEventError,
} from './quarantine-event.ts';

const FOLDER = new URL('fixtures/', import.meta.url);
const names = readdirSync(FOLDER).filter((name) => name.startsWith('quarantine-'));

/** A fixture spells the offset as a text and the payload in hexadecimal, which JSON cannot hold otherwise. */
function load(name: string): { value: string; event: unknown } {
  const { value, event } = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
  const { payloadHex, origin, ...rest } = event;
  const place = origin.kind === 'record' ? { ...origin, offset: BigInt(origin.offset) } : origin;
  return { value, event: { ...rest, origin: place, payload: Buffer.from(payloadHex, 'hex') } };
}

describe('values that were once written stay readable', () => {
  test('every version and kind has a fixture', () => {
    expect(names).toEqual(expect.arrayContaining(['quarantine-v1-mqtt.json', 'quarantine-v1-record.json']));
  });

  test.each(names)('%s', (name) => {
    const { value, event } = load(name);
    expect(decodeQuarantineEvent(Buffer.from(value))).toEqual(event);
  });
});

test.each(['quarantine-v1-mqtt.json', 'quarantine-v1-record.json'])(
  'the present encoding is the one of %s',
  (name) => {
    const { value } = load(name);
    const event = decodeQuarantineEvent(Buffer.from(value));
    expect(encodeQuarantineEvent(event).toString()).toBe(value);
  },
);

test('any event comes back as it was, whatever its bytes', () => {
  const origin: fc.Arbitrary<QuarantineEvent['origin']> = fc.oneof(
    fc.record({ kind: fc.constant('mqtt' as const), mqttTopic: fc.string(), clientId: fc.string() }),
    fc.record({
      kind: fc.constant('record' as const),
      partition: fc.nat(1_023),
      offset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
      index: fc.nat(),
    }),
  );
  const event: fc.Arbitrary<QuarantineEvent> = fc.record({
    reason: fc.constantFrom(...QUARANTINE_REASONS),
    detail: fc.string({ unit: 'grapheme' }),
    origin,
    received: fc.maxSafeNat(),
    payload: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  });
  fc.assert(
    fc.property(event, (written) => {
      expect(decodeQuarantineEvent(encodeQuarantineEvent(written))).toEqual(written);
    }),
  );
});

describe('values that are not events are refused by name', () => {
  const valid = JSON.parse(load('quarantine-v1-record.json').value);
  test.each([
    ['not JSON', '{"v":1'],
    ['not a JSON object', '[]'],
    ['unknown event version 2', JSON.stringify({ ...valid, v: 2 })],
    ['unknown reason "because"', JSON.stringify({ ...valid, reason: 'because' })],
    ['"detail" is not a text', JSON.stringify({ ...valid, detail: 1 })],
    ['"received" is not a time in ms', JSON.stringify({ ...valid, received: -1 })],
    ['"payload" is not base64', JSON.stringify({ ...valid, payload: null })],
    ['"origin" is not an object', JSON.stringify({ ...valid, origin: 'mqtt' })],
    ['unknown origin {"kind":"http"}', JSON.stringify({ ...valid, origin: { kind: 'http' } })],
    ['unknown origin', JSON.stringify({ ...valid, origin: { ...valid.origin, offset: '1.5' } })],
  ])('%s', (message, value) => {
    const decoding = () => decodeQuarantineEvent(Buffer.from(value));
    expect(decoding).toThrow(UndecodableQuarantineEventError);
    expect(decoding).toThrow(message);
  });
});
