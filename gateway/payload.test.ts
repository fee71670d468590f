import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeTelemetryEvent, encodeTelemetryEvent } from '../event-log/telemetry-event.ts';
import { CASE_LIMITS, UNUSABLE_PAYLOADS, USABLE_PAYLOADS } from './payload.fixture.ts';
import { decodePayload } from './payload.ts';

describe('usable payloads', () => {
  test.each(USABLE_PAYLOADS)('$name', ({ payload, canonical }) => {
    const decoded = decodePayload(payload, CASE_LIMITS);
    expect(decoded).toMatchObject({ kind: 'usable' });
    if (decoded.kind === 'usable') expect(decoded.canonical.toString()).toBe(canonical);
  });

  test('the bytes of a canonical payload are handed back and not copied', () => {
    const payload = Buffer.from('{"metrics":{"a":1}}');
    const decoded = decodePayload(payload, CASE_LIMITS);
    expect(decoded.kind === 'usable' && decoded.canonical).toBe(payload);
  });
});

describe('unusable payloads', () => {
  test.each(UNUSABLE_PAYLOADS)('$name', ({ payload, reason, detail, maxPayloadBytes }) => {
    const decoded = decodePayload(payload, { ...CASE_LIMITS, maxPayloadBytes });
    expect(decoded).toEqual({ kind: 'unusable', reason, detail: expect.stringContaining(detail) });
  });
});

const metricValue = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.jsonValue({ maxDepth: 2 }),
);
const metricName = fc.oneof(
  { weight: 10, arbitrary: fc.stringMatching(/^[A-Za-z0-9._/-]{1,64}$/) },
  { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor') },
  { weight: 1, arbitrary: fc.string() },
);
const metrics = fc.dictionary(metricName, metricValue, { maxKeys: 7 });
const flat = fc
  .tuple(metrics, fc.record({ ts: fc.maxSafeNat(), seq: fc.maxSafeNat() }, { requiredKeys: [] }))
  .map(([values, rest]) => ({ ...values, ...rest }));
const canonical = fc.record(
  {
    ts: fc.oneof(fc.maxSafeNat(), fc.double(), fc.string()),
    seq: fc.oneof(fc.maxSafeNat(), fc.integer()),
    metrics,
  },
  { requiredKeys: ['metrics'] },
);
const message = fc.oneof(flat, canonical, fc.jsonValue({ maxDepth: 3 }));
const json = fc
  .oneof(message, fc.array(message, { maxLength: 3 }))
  .map((value) => Buffer.from(JSON.stringify(value)));
const damaged = fc.tuple(json, fc.nat(), fc.nat(255)).map(([bytes, at, byte]) => {
  const copy = Buffer.from(bytes);
  copy[at % copy.length] = byte;
  return copy;
});
const anyBytes = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));

test('any bytes are usable or unusable, and usable ones make an event that decodes to the same messages', () => {
  fc.assert(
    fc.property(fc.oneof(json, damaged, anyBytes), (payload) => {
      const decoded = decodePayload(payload, CASE_LIMITS);
      if (decoded.kind === 'unusable') return;
      const event = decodeTelemetryEvent(encodeTelemetryEvent(7, decoded.canonical));
      if (event.kind !== 'messages') throw new Error('a tick');
      expect(rewritten(event.messages)).toEqual(rewritten(messagesOf(payload)));
    }),
    { numRuns: 2_000 },
  );
});

/** What a payload means, worked out in another way: through maps, from parsed JSON. */
function messagesOf(payload: Buffer): unknown[] {
  const content: unknown = JSON.parse(payload.toString());
  const messages = Array.isArray(content) ? content : [content];
  return messages.map((entry: object) => {
    const values = new Map<string, unknown>(Object.entries(entry));
    if (values.has('metrics')) return entry;
    const reserved = [...values].filter(([name]) => name === 'ts' || name === 'seq');
    const rest = [...values].filter(([name]) => name !== 'ts' && name !== 'seq');
    return Object.fromEntries([...reserved, ['metrics', Object.fromEntries(rest)]]);
  });
}

/** Without what JSON cannot tell apart, such as 0 and -0. */
function rewritten(messages: readonly unknown[]): unknown {
  return JSON.parse(JSON.stringify(messages));
}
