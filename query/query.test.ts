import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RELATIVE_ACCURACY } from '../metric-store/distribution.ts';
import { type Agg, parseAgg } from './agg.ts';
import { ArrayMetricStore, type TestReading, toRows } from './array-metric-store.fixture.ts';
import { QueryAbandonedError, QueryTooLargeError } from './errors.ts';
import { readOrdered } from './ordered-rows.ts';
import { type Query, type QueryResult, runQuery } from './query.ts';
import { planRange } from './resolution.ts';

const RESOLUTION = 10_000;
const RANGE = { from: 0, to: 120_000 };
const NAMES = [
  'count',
  'sum',
  'mean',
  'min',
  'max',
  'first',
  'last',
  'stddev',
  'p50',
  'p75',
  'p90',
  'p95',
  'p99',
  'p99.9',
];

function aggs(...names: string[]): Agg[] {
  return names.map((name) => {
    const agg = parseAgg(name);
    if (agg === undefined) throw new Error(`no aggregation ${name}`);
    return agg;
  });
}

interface Asked extends Partial<Omit<Query, 'plan'>> {
  readonly resolutionMs?: number;
  readonly from?: number;
  readonly to?: number;
}

/** A query of one stored resolution. */
function query({
  resolutionMs = RESOLUTION,
  from = RANGE.from,
  to = RANGE.to,
  ...changes
}: Asked = {}): Query {
  const { everyMs } = changes;
  const need = { from, to, now: to, ...(everyMs !== undefined && { everyMs }) };
  const plan = planRange([{ resolutionMs, settledMs: 0 }], need);
  return { metric: 'temperature', aggs: aggs(...NAMES), groupBy: 'device', ...changes, plan };
}

const reading: fc.Arbitrary<TestReading> = fc.record({
  deviceId: fc.constantFrom('a', 'b', 'B', 'ü'),
  value: fc.oneof(
    fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    fc.double({ min: 1e9, max: 1e9 + 1, noNaN: true }),
    fc.constantFrom(0, -0, 1, -1),
  ),
  timestamp: fc.integer({ min: RANGE.from, max: RANGE.to - 1 }),
  pane: fc.constantFrom(0, 0, 0, 1, 7),
});

/** What the buckets of these readings are, from nothing but the readings. */
function oracle(readings: readonly TestReading[], { everyMs, groupBy }: Query): QueryResult['series'] {
  const groups = groupedBy(readings, ({ deviceId }) => (groupBy === 'device' ? deviceId : null));
  return [...groups]
    .sort(([a], [b]) => ((a ?? '') < (b ?? '') ? -1 : 1))
    .map(([deviceId, ofDevice]) => {
      const buckets = groupedBy(ofDevice, ({ timestamp }) =>
        everyMs === undefined ? RANGE.from : Math.floor(timestamp / everyMs) * everyMs,
      );
      return {
        deviceId,
        buckets: [...buckets]
          .sort(([a], [b]) => a - b)
          .map(([start, ofBucket]) => ({ start, ...figures(ofBucket) })),
      };
    });
}

function groupedBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

function figures(readings: readonly TestReading[]): Record<string, number> {
  const sorted = readings.map(({ value }) => value).sort((a, b) => a - b);
  const byTime = [...readings].sort((a, b) => a.timestamp - b.timestamp || a.value - b.value);
  const count = sorted.length;
  const sum = sorted.reduce((total, value) => total + value, 0);
  const m2 = sorted.reduce((total, value) => total + (value - sum / count) ** 2, 0);
  const nearestRank = (q: number) => sorted[Math.ceil(q * count) - 1] ?? Number.NaN;
  return {
    count,
    sum,
    mean: sum / count,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    first: byTime[0]?.value ?? Number.NaN,
    last: byTime.at(-1)?.value ?? Number.NaN,
    stddev: Math.sqrt(m2 / count),
    p50: nearestRank(0.5),
    p75: nearestRank(0.75),
    p90: nearestRank(0.9),
    p95: nearestRank(0.95),
    p99: nearestRank(0.99),
    'p99.9': nearestRank(0.999),
  };
}

/** Sums carry rounding of the size of what was summed, percentiles the sketch's stated error. */
function expectFigure(name: string, seen: number, expected: number, count: number, magnitude: number): void {
  if (['count', 'min', 'max', 'first', 'last'].includes(name)) {
    expect(seen + 0, name).toBe(expected + 0);
  } else if (name.startsWith('p')) {
    const tolerance = count <= 64 ? 0 : Math.abs(expected) * RELATIVE_ACCURACY * (1 + 1e-9);
    expect(Math.abs(seen - expected), name).toBeLessThanOrEqual(tolerance);
  } else {
    const scale = name === 'sum' ? count * magnitude : magnitude;
    const relative = name === 'stddev' ? 1e-7 : 1e-12;
    expect(Math.abs(seen - expected), name).toBeLessThanOrEqual(scale * relative);
  }
}

describe('a query', () => {
  it('agrees with an oracle over the raw readings, however they are split into panes and windows', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(reading, { minLength: 1, maxLength: 400 }),
        fc.constantFrom(1_000, 5_000, 10_000),
        fc.constantFrom(undefined, 10_000, 30_000, 60_000),
        fc.constantFrom('device', 'none'),
        async (readings, resolutionMs, everyMs, groupBy) => {
          const asked = query({ resolutionMs, groupBy, ...(everyMs && { everyMs }) });
          const result = await runQuery(
            new ArrayMetricStore(toRows(readings, 'temperature', resolutionMs)),
            asked,
          );
          const expected = oracle(readings, asked);
          expect(result.series.map(({ deviceId }) => deviceId)).toEqual(
            expected.map(({ deviceId }) => deviceId),
          );
          const magnitude = Math.max(...readings.map(({ value }) => Math.abs(value)));
          for (const [i, { buckets }] of result.series.entries()) {
            const wanted = expected[i]?.buckets ?? [];
            expect(buckets.map(({ start }) => start)).toEqual(wanted.map(({ start }) => start));
            for (const [j, bucket] of buckets.entries()) {
              for (const name of NAMES) {
                const count = bucket.count ?? 0;
                expectFigure(
                  name,
                  bucket[name] ?? Number.NaN,
                  wanted[j]?.[name] ?? Number.NaN,
                  count,
                  magnitude,
                );
              }
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('gives the same bits in whatever order and chunks the store yields the rows', async () => {
    const rows = fc
      .array(reading, { minLength: 1, maxLength: 200 })
      .map((readings) => toRows(readings, 'temperature', RESOLUTION));
    await fc.assert(
      fc.asyncProperty(
        rows.chain((all) =>
          fc.tuple(
            fc.constant(all),
            fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
          ),
        ),
        fc.integer({ min: 1, max: 50 }),
        fc.constantFrom('device', 'none'),
        async ([stored, shuffled], chunkRows, groupBy) => {
          const one = await runQuery(new ArrayMetricStore(stored, 1_000), query({ groupBy }));
          const other = await runQuery(new ArrayMetricStore(shuffled, chunkRows), query({ groupBy }));
          expect(other).toEqual(one);
        },
      ),
    );
  });

  it('says which range and resolution it used: from floored, to ceiled', async () => {
    const store = new ArrayMetricStore([]);
    const asked = { from: 12_345, to: 65_001 };
    expect(await runQuery(store, query(asked))).toMatchObject({
      resolutionMs: 10_000,
      resolutions: [{ resolutionMs: 10_000, from: 10_000, to: 70_000 }],
      from: 10_000,
      to: 70_000,
      completeFrom: 10_000,
      everyMs: null,
      series: [],
    });
    expect(await runQuery(store, query({ ...asked, everyMs: 60_000 }))).toMatchObject({
      from: 0,
      to: 120_000,
    });
    expect(store.selections.at(-1)).toMatchObject({ from: 0, to: 120_000, resolutionMs: 10_000 });
  });

  it('floors times before the epoch downwards', async () => {
    const rows = toRows([{ deviceId: 'a', value: 1, timestamp: -1, pane: 0 }], 'temperature', RESOLUTION);
    const asked = query({ from: -1, to: 1, everyMs: 60_000 });
    const { from, series } = await runQuery(new ArrayMetricStore(rows), asked);
    expect(from).toBe(-60_000);
    expect(series[0]?.buckets[0]?.start).toBe(-60_000);
  });

  it('asks for distributions only when a percentile is wanted', async () => {
    const store = new ArrayMetricStore([]);
    await runQuery(store, query({ aggs: aggs('count', 'stddev', 'last') }));
    await runQuery(store, query({ aggs: aggs('count', 'p95') }));
    expect(store.selections.map(({ distributions }) => distributions)).toEqual([false, true]);
  });

  it('counts a device that is named twice once', async () => {
    const store = new ArrayMetricStore([]);
    await runQuery(store, query({ devices: ['a', 'b', 'a'] }));
    expect(store.selections[0]?.devices).toEqual(['a', 'b']);
  });

  it('refuses a range of more buckets than it may return without reading it', async () => {
    const store = new ArrayMetricStore([]);
    const refused = runQuery(store, query({ everyMs: 10_000, maxBuckets: 11 }));
    await expect(refused).rejects.toThrow(
      'the range has 12 buckets of 10s, more than the 11 that a query may return',
    );
    expect(store.selections).toEqual([]);
  });

  it('counts the buckets of every device towards the limit', async () => {
    const readings = ['a', 'b', 'c'].map((deviceId) => ({ deviceId, value: 1, timestamp: 0, pane: 0 }));
    const store = new ArrayMetricStore(toRows(readings, 'temperature', RESOLUTION));
    const result = await runQuery(store, query({ maxBuckets: 3 }));
    expect(result.series).toHaveLength(3);
    await expect(runQuery(store, query({ maxBuckets: 2 }))).rejects.toThrow(QueryTooLargeError);
  });

  it('is given up when its signal aborts', async () => {
    const store = new ArrayMetricStore(
      toRows([{ deviceId: 'a', value: 1, timestamp: 0, pane: 0 }], 'temperature', RESOLUTION),
    );
    const refused = runQuery(store, query(), AbortSignal.abort());
    await expect(refused).rejects.toThrow(QueryAbandonedError);
  });
});

describe('reading in slices', () => {
  it('yields every row once and in order, whatever the size of a slice', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(reading, { maxLength: 100 }),
        fc.integer({ min: 1, max: 40 }),
        fc.option(fc.constant(['a', 'b', 'B', 'ü']), { nil: undefined }),
        async (readings, rowsPerSlice, devices) => {
          const rows = toRows(readings, 'temperature', 1_000);
          const selection = { metric: 'temperature', resolutionMs: 1_000, ...RANGE, distributions: true };
          const limits = { rowsPerSlice, maxRowsPerWindow: 1_000 };
          const seen = [];
          const slices = readOrdered(
            new ArrayMetricStore(rows),
            { ...selection, ...(devices && { devices }) },
            limits,
          );
          for await (const slice of slices) seen.push(...slice);
          const order = (row: (typeof rows)[number]) => [row.windowStart, row.deviceId, row.pane] as const;
          const wanted = rows
            .map(order)
            .sort(([a, b, c], [d, e, f]) => a - d || (b < e ? -1 : b > e ? 1 : c - f));
          expect(seen.map(order)).toEqual(wanted);
        },
      ),
    );
  });

  it('refuses a single window of more rows than may be held', async () => {
    const readings = ['a', 'b', 'c'].map((deviceId) => ({ deviceId, value: 1, timestamp: 0, pane: 0 }));
    const store = new ArrayMetricStore(toRows(readings, 'temperature', RESOLUTION));
    const selection = { metric: 'temperature', resolutionMs: RESOLUTION, ...RANGE, distributions: false };
    const slices = readOrdered(store, selection, { rowsPerSlice: 1, maxRowsPerWindow: 2 });
    await expect(slices.next()).rejects.toThrow(
      'the window of temperature that starts at 1970-01-01T00:00:00.000Z has more than 2 rows; name fewer devices',
    );
  });
});
