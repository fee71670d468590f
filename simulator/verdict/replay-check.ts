import { readFile } from 'node:fs/promises';
import type { QueryClient } from './query-client.ts';

export interface ReplayCheckOptions {
  readonly file: string;
  readonly deviceId: string;
  readonly metric: string;
  readonly compress: number;
  /** Start of the run, ms since the epoch: where the latest reading lies. */
  readonly startMs: number;
  /** Size of the store's windows, ms. */
  readonly resolutionMs: number;
}

/** A comparison of every bucket of a replay with what the file says. */
export interface ReplayCheck {
  /** Hours and windows that were compared. */
  readonly hours: number;
  readonly windows: number;
  readonly differing: number;
  /** The first twenty. */
  readonly differences: readonly BucketDifference[];
}

export interface BucketDifference {
  readonly bucketMs: number;
  /** Ms since the epoch. */
  readonly start: number;
  /** Null when the file, or the store, has nothing there. */
  readonly expected: BucketFigures | null;
  readonly seen: BucketFigures | null;
}

export interface BucketFigures {
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
}

const HOUR_MS = 3_600_000;
const MAX_BUCKETS_PER_QUERY = 5_000;
const MAX_DIFFERENCES = 20;
const MEAN_TOLERANCE = 1e-9;

/**
 * Compares count, mean, min and max of every hour and every stored window of a replay with the file. Reads the file
 * with code of its own, so that a mistake in the replay cannot hide itself. Rejects with `QueryApiError`.
 */
export async function checkReplay(client: QueryClient, options: ReplayCheckOptions): Promise<ReplayCheck> {
  const rows = await readRows(options);
  const differences: BucketDifference[] = [];
  const compared = async (bucketMs: number): Promise<number> => {
    const expected = figuresByBucket(rows, bucketMs);
    const seen = await seenByBucket(client, options, bucketMs, [...expected.keys()]);
    const starts = new Set([...expected.keys(), ...seen.keys()]);
    for (const start of starts) {
      const [inFile = null, inStore = null] = [expected.get(start), seen.get(start)];
      if (!agree(inFile, inStore)) differences.push({ bucketMs, start, expected: inFile, seen: inStore });
    }
    return starts.size;
  };
  const hours = HOUR_MS % options.resolutionMs === 0 ? await compared(HOUR_MS) : 0;
  const windows = await compared(options.resolutionMs);
  return {
    hours,
    windows,
    differing: differences.length,
    differences: differences.slice(0, MAX_DIFFERENCES),
  };
}

interface Row {
  readonly at: number;
  readonly value: number;
}

async function readRows({ file, compress, startMs }: ReplayCheckOptions): Promise<readonly Row[]> {
  const lines = (await readFile(file, 'utf8')).trim().split(/\r?\n/).slice(1);
  const rows = lines.map((line) => {
    const [time = '', value] = line.split(',');
    const utc = /(Z|[+-]\d\d:\d\d)\s*$/.test(time) ? time : `${time.trim()}Z`;
    return { at: Date.parse(utc.trim().replace(' ', 'T')), value: Number(value) };
  });
  const latest = rows.reduce((most, { at }) => Math.max(most, at), Number.NEGATIVE_INFINITY);
  return rows.map(({ at, value }) => ({ at: startMs - Math.round((latest - at) / compress), value }));
}

function figuresByBucket(rows: readonly Row[], bucketMs: number): Map<number, BucketFigures> {
  const values = new Map<number, number[]>();
  for (const { at, value } of rows) {
    const start = Math.floor(at / bucketMs) * bucketMs;
    const bucket = values.get(start);
    if (bucket === undefined) values.set(start, [value]);
    else bucket.push(value);
  }
  return new Map(
    Array.from(values, ([start, bucket]) => [
      start,
      {
        count: bucket.length,
        mean: bucket.reduce((sum, value) => sum + value, 0) / bucket.length,
        min: Math.min(...bucket),
        max: Math.max(...bucket),
      },
    ]),
  );
}

async function seenByBucket(
  client: QueryClient,
  { deviceId, metric }: ReplayCheckOptions,
  bucketMs: number,
  starts: readonly number[],
): Promise<Map<number, BucketFigures>> {
  const seen = new Map<number, BucketFigures>();
  const end = starts.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY) + bucketMs;
  const step = bucketMs * MAX_BUCKETS_PER_QUERY;
  let from = starts.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  for (; from < end; from += step) {
    const { series } = await client.query({
      metric,
      aggs: ['count', 'mean', 'min', 'max'],
      from,
      to: Math.min(from + step, end),
      everyMs: bucketMs,
      devices: [deviceId],
    });
    for (const { start = 0, count = 0, mean = 0, min = 0, max = 0 } of series[0]?.buckets ?? []) {
      seen.set(start, { count, mean, min, max });
    }
  }
  return seen;
}

function agree(a: BucketFigures | null, b: BucketFigures | null): boolean {
  if (a === null || b === null) return false;
  const tolerance = MEAN_TOLERANCE * Math.max(Math.abs(a.min), Math.abs(a.max));
  return a.count === b.count && a.min === b.min && a.max === b.max && Math.abs(a.mean - b.mean) <= tolerance;
}
