import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createPayloadMemory,
  hashPayload,
  isPayloadSeen,
  PAYLOAD_MEMORY,
  rememberPayload,
} from './payload-memory.ts';
import {
  isSequenceDuplicate,
  MAX_WINDOWS,
  rememberSequence,
  SEQUENCE_WINDOW,
  type SequenceWindow,
} from './sequence-window.ts';

type Message = readonly [seq: number, timestamp: number];

/** Delivers messages of one device; tells for each whether it was taken as a duplicate. */
function deliver(messages: readonly Message[]): boolean[] {
  const windows: SequenceWindow[] = [];
  return messages.map(([seq, timestamp]) => {
    const isDuplicate = isSequenceDuplicate(windows, seq, timestamp);
    if (!isDuplicate) rememberSequence(windows, seq, timestamp);
    return isDuplicate;
  });
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

  test('with the clock set back into the run before loses nothing, and counts nothing twice', () => {
    const setBack = range(0, 300).map((seq) => [seq, 2_000 + seq * 10] as const);
    expect(deliver([...before, ...setBack])).not.toContain(true);
    expect(deliver([...before, ...setBack, ...before, ...setBack]).slice(800)).not.toContain(false);
  });

  test('whose live messages come before those stored in the run before loses nothing', () => {
    const stored = range(0, 50).map((seq) => [seq, seq * 10] as const);
    const live = range(0, 60).map((seq) => [seq, 9_000 + seq * 10] as const);
    const interleaved = stored.flatMap((message, index) => [live[index] ?? message, message]);
    expect(deliver([...live, ...stored])).not.toContain(true);
    expect(deliver(interleaved)).not.toContain(true);
    expect(deliver([...interleaved, ...interleaved]).slice(interleaved.length)).not.toContain(false);
  });

  test('continues the run whose event times are nearest', () => {
    const first = range(0, 40).map((seq) => [seq, seq * 10] as const);
    const second = range(0, 36).map((seq) => [seq, 9_000 + seq * 10] as const);
    // 36 to 39 are missing of the second run, and 40 and on of the first.
    const rest = [40, 41].map((seq) => [seq, seq * 10] as const);
    const others = range(36, 45).map((seq) => [seq, 9_000 + seq * 10] as const);
    expect(deliver([...first, ...second, ...rest, ...others])).not.toContain(true);
  });

  test('loses nothing and counts nothing twice, whatever the order in which its runs arrive', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: MAX_WINDOWS });
    const eras = fc.shuffledSubarray([0, 1, 2], { minLength: MAX_WINDOWS });
    fc.assert(
      fc.property(lengths, fc.nat(2_000), eras, fc.array(fc.nat()), (planned, from, order, keys) => {
        const runs = planned.map((length, index) =>
          range(from, from + length).map((seq) => [seq, (order[index] ?? 0) * 1e9 + seq * 10] as const),
        );
        const withRepeats = interleave(runs, keys).flatMap((message) => [message, message]);
        expect(deliver(withRepeats)).toEqual(withRepeats.map((_, index) => index % 2 === 1));
      }),
      { numRuns: 500 },
    );
  });
});

/** Takes from the queues in turn, as `keys` say. */
function interleave(queues: readonly (readonly Message[])[], keys: readonly number[]): Message[] {
  const rest = queues.map((queue) => [...queue]);
  const taken: Message[] = [];
  for (let turn = 0; rest.some((queue) => queue.length > 0); turn++) {
    const filled = rest.filter((queue) => queue.length > 0);
    const queue = filled[(keys[turn % Math.max(1, keys.length)] ?? turn) % filled.length];
    const message = queue?.shift();
    if (message !== undefined) taken.push(message);
  }
  return taken;
}

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
  test('is known among the latest and forgotten after them', () => {
    const memory = createPayloadMemory();
    for (const hash of range(0, PAYLOAD_MEMORY)) {
      expect(isPayloadSeen(memory, hash)).toBe(false);
      rememberPayload(memory, hash);
      rememberPayload(memory, hash);
    }
    expect(isPayloadSeen(memory, 0)).toBe(true);
    rememberPayload(memory, 99);
    expect(isPayloadSeen(memory, 0)).toBe(false);
    expect(isPayloadSeen(memory, 1)).toBe(true);
  });

  test('has a hash that depends on every byte', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, place, flip) => {
          const changed = Uint8Array.from(bytes);
          const at = place % bytes.length;
          changed[at] = (bytes[at] ?? 0) ^ flip;
          expect(hashPayload(changed)).not.toBe(hashPayload(bytes));
          expect(Number.isSafeInteger(hashPayload(bytes))).toBe(true);
        },
      ),
    );
  });

  test('meets no other of a million similar ones', () => {
    const hashes = new Set(
      range(0, 1_000_000).map((n) => hashPayload(Buffer.from(`{"ts":${1_732_460_000_000 + n}}`))),
    );
    expect(hashes.size).toBe(1_000_000);
  });
});
