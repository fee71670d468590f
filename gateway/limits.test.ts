import { expect, test } from 'vitest';
import { encodeQuarantineEvent, QUARANTINE_REASONS } from '../event-log/quarantine-event.ts';
import { largestQuarantineRecordBytes, MAX_DETAIL_LENGTH, resolveLimits } from './limits.ts';

const WORST_CHARACTER = '\u0001';

test.each([1, 1_000, 64 * 1024, 1024 * 1024])(
  'every packet fits into quarantine with payloads of %d bytes',
  (size) => {
    const limits = resolveLimits({ maxPayloadBytes: size });
    for (const topicBytes of [1, 30_000, Math.min(65_535, limits.maxPacketBytes)]) {
      const value = encodeQuarantineEvent({
        reason: longest(QUARANTINE_REASONS),
        detail: WORST_CHARACTER.repeat(MAX_DETAIL_LENGTH),
        origin: {
          kind: 'mqtt',
          mqttTopic: WORST_CHARACTER.repeat(topicBytes),
          clientId: WORST_CHARACTER.repeat(limits.maxClientIdLength),
        },
        received: Number.MAX_SAFE_INTEGER,
        payload: Buffer.alloc(limits.maxPacketBytes - topicBytes),
      });
      const keyBytes = 3 * limits.maxClientIdLength;
      expect(keyBytes + value.length).toBeLessThanOrEqual(largestQuarantineRecordBytes(limits));
    }
  },
);

test('with the default bounds quarantine records stay below 1 MiB', () => {
  expect(largestQuarantineRecordBytes(resolveLimits())).toBeLessThan(1024 * 1024);
});

test('the packet bound follows the payload bound unless it is given', () => {
  expect(resolveLimits({ maxPayloadBytes: 100 }).maxPacketBytes).toBe(100 + 65_539);
  expect(resolveLimits({ maxPayloadBytes: 100, maxPacketBytes: 200 }).maxPacketBytes).toBe(200);
});

function longest<T extends string>(words: readonly T[]): T {
  return words.toSorted((a, b) => b.length - a.length)[0] as T;
}
