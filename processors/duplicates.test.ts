import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPayloadMemory, hashPayload, isPayloadDuplicate, PAYLOAD_MEMORY } from './payload-memory.ts';
import { isSequenceDuplicate, SEQUENCE_WINDOW, type SequenceWindow } from './sequence-window.ts';

/** Delivers messages `[seq, event time]` of one device; tells for each whether it was taken as a duplicate. */
function deliver(messages: readonly (readonly [seq: number, timestamp?: number])[]): boolean[] {
  const windows: SequenceWindow[] = [];
  return messages.map(([seq, timestamp]) => isSequenceDuplicate(windows, seq, timestamp, false));
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

describe('a number', () => {
  test('delivered again is a duplicate, in any order within the window', () => {
    expect(
      deliver([
        [1, 10],
        [2, 20],
        [4, 40],
        [2, 20],
        [3, 30],
        [3, 30],
        [4, 40],
      ]),
    ).toEqual([false, false, false, true, false, true, true]);
  });

  test('is remembered for the whole window', () => {
    const live = range(0, SEQUENCE_WINDOW).map((seq) => [seq, seq * 10] as const);
    expect(deliver([...live, [0, 0]]).at(-1)).toBe(true);
  });

  test('that a gap skipped is new when it comes late', () => {
    const live = range(0, SEQUENCE_WINDOW).map((seq) => [seq, seq * 10] as const);
    const afterGap = SEQUENCE_WINDOW + 6;
    expect(deliver([...live, [afterGap, afterGap * 10], [afterGap - 3, (afterGap - 3) * 10]]).at(-1)).toBe(
      false,
    );
  });

  test('is never taken for a duplicate when it was not delivered before', () => {
    const sequence = fc.uniqueArray(fc.nat(3_000), { maxLength: 200 });
    fc.assert(
      fc.property(sequence, (seqs) => {
        expect(deliver(seqs.map((seq) => [seq, seq * 10]))).not.toContain(true);
      }),
    );
  });

  test('delivered again is a duplicate, whatever came between within the window', () => {
    const seqs = fc.array(fc.nat(SEQUENCE_WINDOW - 1), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(seqs, (numbers) => {
        const seen = new Set<number>();
        const expected = numbers.map((seq) => seen.size === seen.add(seq).size);
        expect(deliver(numbers.map((seq) => [seq, seq * 10]))).toEqual(expected);
      }),
    );
  });
});

describe('a counter that starts again', () => {
  const before = range(0, 500).map((seq) => [seq, seq * 10] as const);
  const after = range(0, 700).map((seq) => [seq, 100_000 + seq * 10] as const);

  test('with later event times loses nothing', () => {
    expect(deliver([...before, ...after])).not.toContain(true);
  });

  test('still has duplicates of both runs recognised', () => {
    const results = deliver([...before, ...after.slice(0, 10), [499, 4_990], [3, 100_030], [7, 70]]);
    expect(results.slice(-3)).toEqual([true, true, true]);
  });

  test('far below its window loses nothing either', () => {
    const long = range(0, 5_000).map((seq) => [seq, seq * 10] as const);
    expect(deliver([...long, ...after])).not.toContain(true);
  });

  test('without event times counts what has another payload', () => {
    const windows: SequenceWindow[] = [];
    for (const seq of range(0, 100)) isSequenceDuplicate(windows, seq, undefined, false);
    expect(isSequenceDuplicate(windows, 5, undefined, true)).toBe(true);
    expect(isSequenceDuplicate(windows, 5, undefined, false)).toBe(false);
  });
});

test('a device that catches up on what it stored while it sends live loses nothing and counts nothing twice', () => {
  const stored = range(0, 3_000);
  const live = range(10_000, 10_000 + stored.length);
  const mixed = stored.flatMap((seq, index) => [
    [seq, seq * 10] as const,
    [live[index] ?? 0, (live[index] ?? 0) * 10] as const,
  ]);
  const withRepeats = mixed.flatMap((message) => [message, message]);
  expect(deliver(withRepeats).filter((isDuplicate) => !isDuplicate)).toHaveLength(mixed.length);
});

describe('a payload', () => {
  test('is a duplicate among the latest and forgotten after them', () => {
    const memory = createPayloadMemory();
    for (const hash of range(0, PAYLOAD_MEMORY)) expect(isPayloadDuplicate(memory, hash)).toBe(false);
    expect(isPayloadDuplicate(memory, 0)).toBe(true);
    expect(isPayloadDuplicate(memory, 99)).toBe(false);
    expect(isPayloadDuplicate(memory, 0)).toBe(false);
  });

  test('has a hash that depends on every byte and on its place in an array', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, place, flip) => {
          const changed = Uint8Array.from(bytes);
          const at = place % bytes.length;
          changed[at] = (bytes[at] ?? 0) ^ flip;
          expect(hashPayload(changed, 0)).not.toBe(hashPayload(bytes, 0));
          expect(hashPayload(bytes, 1)).not.toBe(hashPayload(bytes, 0));
          expect(Number.isSafeInteger(hashPayload(bytes, 0))).toBe(true);
        },
      ),
    );
  });

  test('meets no other of a million similar ones', () => {
    const hashes = new Set(
      range(0, 1_000_000).map((n) => hashPayload(Buffer.from(`{"ts":${1_732_460_000_000 + n}}`), 0)),
    );
    expect(hashes.size).toBe(1_000_000);
  });
});
