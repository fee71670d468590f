import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FOLD_CONFIG, type PlannedRecord, plannedRecords, recordsOf } from './processors/fold.fixture.ts';
import { createFoldOutput, step } from './processors/fold.ts';
import { createFoldState } from './processors/fold-state.ts';
import { parseAgg } from './query/agg.ts';
import { ArrayMetricStore } from './query/array-metric-store.fixture.ts';
import { type QueryResult, runQuery } from './query/query.ts';
import { planRange, type RangeNeed, settling } from './query/resolution.ts';

/**
 * With messages at most this late, a reading is in the rows of every resolution before any query uses these: late by this
 * and a window of each resolution is less than the margin of 30 s that windows have to settle.
 */
const CONFIG = { ...FOLD_CONFIG, maxAgeMs: 5_000 };
const RESOLUTIONS = settling(
  CONFIG.windowsMs.map((resolutionMs) => ({ resolutionMs })),
  CONFIG.graceMs,
);
const AGGS = ['count', 'min', 'max', 'first', 'last', 'sum'].flatMap((name) => parseAgg(name) ?? []);

interface Asked {
  /** How many of the records are folded when the query comes. */
  readonly folded: number;
  readonly everyMs: number | undefined;
  readonly agoMs: number;
  readonly lengthMs: number;
}

const asked: fc.Arbitrary<Asked> = fc.record({
  folded: fc.nat(),
  everyMs: fc.constantFrom(undefined, 1_000, 2_000, 4_000, 8_000, 20_000, 60_000),
  agoMs: fc.integer({ min: 0, max: 200_000 }),
  lengthMs: fc.integer({ min: 1, max: 220_000 }),
});

/** Folds the first records and answers from all resolutions, and from the finest alone. */
async function answers(planned: readonly PlannedRecord[], { folded, everyMs, agoMs, lengthMs }: Asked) {
  const records = recordsOf(planned);
  const state = createFoldState(CONFIG.windowsMs.length);
  const output = createFoldOutput();
  for (const record of records.slice(0, 1 + (folded % records.length))) step(CONFIG, state, record, output);
  const bucketSize = everyMs === undefined ? {} : { everyMs };
  const from = state.logTime - agoMs;
  const need = { from, to: from + lengthMs, now: state.logTime, ...bucketSize };
  const run = (given: RangeNeed) => {
    const plan = planRange(RESOLUTIONS, given);
    const query = { metric: 'temperature', aggs: AGGS, groupBy: 'device' as const, plan, ...bucketSize };
    return runQuery(new ArrayMetricStore(output.rows), query);
  };
  return { all: await run(need), finest: await run({ ...need, resolution: 'finest' }) };
}

/** Figures by device and bucket; the sum apart, since it depends on the order of its parts. */
function figuresOf({ series }: QueryResult) {
  return series.flatMap(({ deviceId, buckets }) =>
    buckets.map(({ sum = Number.NaN, ...exact }) => ({ exact: { deviceId, ...exact }, sum })),
  );
}

test('what the fold has rolled up answers as its finest windows do, at any moment of a run', async () => {
  let coarse = 0;
  await fc.assert(
    fc.asyncProperty(plannedRecords, asked, async (planned, query) => {
      const { all, finest } = await answers(planned, query);
      if (all.resolutionMs > finest.resolutionMs && all.series.length > 0) coarse++;
      expect([all.from, all.to, all.completeFrom]).toEqual([finest.from, finest.to, finest.from]);
      const [seen, expected] = [figuresOf(all), figuresOf(finest)];
      expect(seen.map(({ exact }) => exact)).toEqual(expected.map(({ exact }) => exact));
      for (const [i, { sum }] of seen.entries()) {
        expect(Math.abs(sum - (expected[i]?.sum ?? Number.NaN))).toBeLessThanOrEqual(1e-6);
      }
    }),
    { numRuns: 500 },
  );
  expect(coarse).toBeGreaterThan(50);
});
