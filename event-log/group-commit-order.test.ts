import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type EventLogError, RecordTooLargeError } from './errors.ts';
import { holdTime, openWith, refused, resolved, Sink, settled } from './group-commit.fixture.ts';
import type { GroupCommitOptions, PendingAppend } from './group-commit.ts';

beforeEach(() => {
  holdTime();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('for any appends and failures', () => {
  /** How one attempt goes for one partition; an ambiguous failure has stored the records all the same. */
  const fate = fc.constantFrom('stored', 'failed', 'ambiguous', 'refused');
  const attempt = fc.record({ fates: fc.tuple(fate, fate, fate), takesMs: fc.integer({ min: 0, max: 400 }) });
  const burst = fc.record({
    partitions: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 12 }),
    pauseMs: fc.integer({ min: 0, max: 300 }),
  });

  test('what is acknowledged is in the sink in the order of its calls, and nothing is sent before what precedes it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(burst, { maxLength: 8 }),
        fc.array(attempt, { maxLength: 12 }),
        async (bursts, attempts) => {
          const sink = new Sink();
          /** By partition, in the order of the calls. */
          const unsettled = [new Set<string>(), new Set<string>(), new Set<string>()];
          const overtaking: string[] = [];
          const commit = scripted(sink, attempts, (batch) => {
            for (const [partition, keys] of unsettled.entries()) {
              const sent = batch.filter((each) => each.partition === partition).map(({ key }) => key);
              const oldest = [...keys].slice(0, sent.length);
              if (sent.join() !== oldest.join()) overtaking.push(`${sent} before ${oldest}`);
            }
          });
          const commits = openWith(commit, {
            maxBatchRecords: 5,
            maxBatchBytes: 500,
            maxPendingBytes: 4_096,
            appendTimeoutMs: 1_000,
          });
          const appends: {
            partition: number;
            key: string;
            outcome: Promise<PromiseSettledResult<bigint>>;
          }[] = [];
          for (const { partitions, pauseMs } of bursts) {
            for (const partition of partitions) {
              const key = `${appends.length}`;
              const append = commits.append('topic', partition, key, Buffer.alloc(40));
              const forget = () => void unsettled[partition]?.delete(key);
              unsettled[partition]?.add(key);
              append.then(forget, forget);
              appends.push({ partition, key, outcome: settled(append) });
            }
            await vi.advanceTimersByTimeAsync(pauseMs);
          }
          await resolved(commits.close());
          const outcomes = await Promise.all(appends.map(({ outcome }) => outcome));
          for (const partition of [0, 1, 2]) {
            const acknowledged = appends.flatMap((append, i) => {
              const outcome = outcomes[i];
              return append.partition === partition && outcome?.status === 'fulfilled'
                ? [{ key: append.key, offset: outcome.value }]
                : [];
            });
            for (const { key, offset } of acknowledged) expect(sink.of(partition)[Number(offset)]).toBe(key);
            const offsets = acknowledged.map(({ offset }) => offset);
            expect(offsets).toEqual(offsets.toSorted((a, b) => Number(a - b)));
          }
          expect(overtaking).toEqual([]);
          expect(commits.pendingBytes).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});

interface Attempt {
  readonly fates: readonly string[];
  readonly takesMs: number;
}

function scripted(
  sink: Sink,
  attempts: readonly Attempt[],
  called: (batch: readonly PendingAppend[]) => void,
): GroupCommitOptions['commit'] {
  let calls = 0;
  return async (batch) => {
    called(batch);
    const { fates, takesMs } = attempts[calls++] ?? { fates: [], takesMs: 0 };
    await new Promise((resolve) => setTimeout(resolve, takesMs));
    return batch.map((append): bigint | EventLogError => {
      const fate = fates[append.partition] ?? 'stored';
      if (fate === 'failed') return refused;
      if (fate === 'refused') return new RecordTooLargeError('too large');
      const offset = sink.store(append);
      return fate === 'ambiguous' ? refused : offset;
    });
  };
}
