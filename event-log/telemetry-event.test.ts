import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DeviceMessage,
  decodeTelemetryEvent,
  encodeTelemetryEvent,
  encodeTick,
  UndecodableEventError,
} from './telemetry-event.ts';

const FOLDER = new URL('fixtures/', import.meta.url);

describe('values that were once written stay readable', () => {
  const names = readdirSync(FOLDER).filter((name) => name.startsWith('telemetry-'));

  test('every version and kind has a fixture', () => {
    expect(names).toEqual(
      expect.arrayContaining([
        'telemetry-v1-message.json',
        'telemetry-v1-messages.json',
        'telemetry-v1-tick.json',
      ]),
    );
  });

  test.each(names)('%s', (name) => {
    const fixture = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
    expect(decodeTelemetryEvent(Buffer.from(fixture.value))).toEqual(fixture.event);
  });
});

describe('encoding', () => {
  test('an encoded message has the bytes of its fixture', () => {
    const fixture = JSON.parse(readFileSync(new URL('telemetry-v1-message.json', FOLDER), 'utf8'));
    const payload = '{"ts":1732460000123,"seq":42,"metrics":{"temperature":21.5,"door":true}}';
    expect(encodeTelemetryEvent(1732460000456, Buffer.from(payload)).toString()).toBe(fixture.value);
  });

  test('a tick has the bytes of its fixture', () => {
    const fixture = JSON.parse(readFileSync(new URL('telemetry-v1-tick.json', FOLDER), 'utf8'));
    expect(encodeTick().toString()).toBe(fixture.value);
  });

  test('the payload is embedded byte for byte, white space and number spelling included', () => {
    const payload = Buffer.from('{ "metrics" : {"größe": 1.50e+1 , "b":-0.0} }');
    const value = encodeTelemetryEvent(7, payload);
    expect(value.includes(payload)).toBe(true);
    expect(value.length).toBe(payload.length + '{"v":1,"received":7,"data":}'.length);
  });

  test('any canonical payload comes back as it was', () => {
    const message: fc.Arbitrary<DeviceMessage> = fc.record(
      {
        ts: fc.maxSafeInteger(),
        seq: fc.maxSafeNat(),
        metrics: fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue({ maxDepth: 1 })),
      },
      { requiredKeys: ['metrics'] },
    );
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.array(message, { minLength: 1, maxLength: 5 }),
        (received, messages) => {
          const payload = Buffer.from(JSON.stringify(messages));
          const expected: unknown = JSON.parse(payload.toString());
          expect(decodeTelemetryEvent(encodeTelemetryEvent(received, payload))).toEqual({
            kind: 'messages',
            received,
            messages: expected,
          });
        },
      ),
    );
  });
});

describe('values that are not events are refused by name', () => {
  test.each([
    ['', 'not JSON'],
    ['{"v":1', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['{}', 'unknown event version undefined'],
    ['{"v":2,"tick":true}', 'unknown event version 2'],
    ['{"v":"1","tick":true}', 'unknown event version "1"'],
    ['{"v":1,"tick":1}', '"received" is not a time in ms'],
    ['{"v":1,"received":1.5,"data":{"metrics":{}}}', '"received" is not a time in ms'],
    ['{"v":1,"received":1}', '"data" is not a canonical payload'],
    ['{"v":1,"received":1,"data":null}', '"data" is not a canonical payload'],
    ['{"v":1,"received":1,"data":{"temperature":1}}', '"data" is not a canonical payload'],
    ['{"v":1,"received":1,"data":[{"metrics":{}},{"metrics":[]}]}', '"data" is not a canonical payload'],
    ['{"v":1,"received":1,"data":{"ts":"now","metrics":{}}}', '"data" is not a canonical payload'],
    ['{"v":1,"received":1,"data":{"seq":0.5,"metrics":{}}}', '"data" is not a canonical payload'],
  ])('%s', (value, message) => {
    const decoding = () => decodeTelemetryEvent(Buffer.from(value));
    expect(decoding).toThrow(UndecodableEventError);
    expect(decoding).toThrow(message);
  });

  test('any bytes decode or throw UndecodableEventError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from)), (bytes) => {
        try {
          decodeTelemetryEvent(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(UndecodableEventError);
        }
      }),
    );
  });
});
