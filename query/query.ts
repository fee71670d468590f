import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MetricStore } from '../metric-store/metric-store.ts';
import type { Agg } from './agg.ts';
import { BucketMerge } from './bucket-merge.ts';
import { formatDuration } from './duration.ts';
import { ParameterError, QueryAbandonedError, QueryTooLargeError } from './errors.ts';
import { readOrdered } from './ordered-rows.ts';

export type GroupBy = 'device' | 'none';

export interface Query {
  readonly metric: string;
  /** Undefined selects every device. */
  readonly devices?: readonly string[];
  readonly aggs: readonly Agg[];
  /** Bucket size, ms, a multiple of the resolution. Undefined: the whole range is one bucket. */
  readonly everyMs?: number;
  /** Inclusive, ms since the epoch; floored to the bucket size (to the resolution without one). */
  readonly from: number;
  /** Exclusive, ms since the epoch; ceiled likewise. */
  readonly to: number;
  readonly groupBy: GroupBy;
  /** Size of the stored windows to merge, ms. */
  readonly resolutionMs: number;
  /** Most buckets to return, over all series. */
  readonly maxBuckets?: number;
}

export interface QueryResult {
  readonly metric: string;
  /** Size of the stored windows that were merged, ms. */
  readonly resolutionMs: number;
  /** The range that was used, ms since the epoch, [from, to). */
  readonly from: number;
  readonly to: number;
  /** Bucket size, ms; null when the whole range is one bucket. */
  readonly everyMs: number | null;
  readonly groupBy: GroupBy;
  readonly aggs: readonly string[];
  /** Ordered by device. A series without buckets is left out. */
  readonly series: readonly QuerySeries[];
}

export interface QuerySeries {
  /** Null when the devices are merged. */
  readonly deviceId: string | null;
  /** Ordered by start. Empty buckets are left out. */
  readonly buckets: readonly Bucket[];
}

/** Start of the bucket, ms since the epoch, and the value of every aggregation under its name. */
export interface Bucket {
  readonly start: number;
  readonly [agg: string]: number;
}

export const DEFAULT_MAX_BUCKETS = 100_000;

/**
 * Merges the stored windows of a metric (their panes, windows, and devices unless grouped) into buckets aligned
 * to the epoch. The result depends on the set of stored rows, not on the order in which the store yields them.
 * Memory is bounded by the buckets returned, the series of one bucket, and a slice of rows.
 *
 * Rejects with `ParameterError` when the range is empty or `everyMs` does not fit the resolution, with
 * `QueryTooLargeError` beyond `maxBuckets`, with `QueryAbandonedError` soon after `signal` aborts, and with the
 * store's own errors.
 */
export async function runQuery(store: MetricStore, query: Query, signal?: AbortSignal): Promise<QueryResult> {
  const range = alignRange(query);
  const maxBuckets = query.maxBuckets ?? DEFAULT_MAX_BUCKETS;
  refuseTooManyBuckets(query, range, maxBuckets);
  const merge = new BucketMerge({ ...query, ...range, maxBuckets });
  const selection = {
    metric: query.metric,
    ...(query.devices && { devices: [...new Set(query.devices)] }),
    resolutionMs: query.resolutionMs,
    ...range,
    distributions: query.aggs.some((agg) => agg.needsDistribution),
  };
  for await (const rows of readOrdered(store, selection)) {
    for (const [i, row] of rows.entries()) {
      if (i % 1_024 === 0) await pause(signal);
      merge.add(row);
    }
    await pause(signal);
  }
  return {
    metric: query.metric,
    resolutionMs: query.resolutionMs,
    ...range,
    everyMs: query.everyMs ?? null,
    groupBy: query.groupBy,
    aggs: query.aggs.map((agg) => agg.name),
    series: merge.finish(),
  };
}

interface Range {
  readonly from: number;
  readonly to: number;
}

function alignRange({ from, to, everyMs, resolutionMs }: Query): Range {
  if (everyMs !== undefined && everyMs % resolutionMs !== 0) {
    throw new ParameterError(
      'every',
      formatDuration(everyMs),
      `a multiple of the stored resolution ${formatDuration(resolutionMs)}`,
    );
  }
  if (from >= to) {
    throw new ParameterError(
      'from',
      new Date(from).toISOString(),
      `a time before to, ${new Date(to).toISOString()}`,
    );
  }
  const step = everyMs ?? resolutionMs;
  return { from: Math.floor(from / step) * step, to: Math.ceil(to / step) * step };
}

function refuseTooManyBuckets({ everyMs }: Query, { from, to }: Range, maxBuckets: number): void {
  if (everyMs === undefined || (to - from) / everyMs <= maxBuckets) return;
  throw new QueryTooLargeError(
    `the range has ${(to - from) / everyMs} buckets of ${formatDuration(everyMs)}, more than the ${maxBuckets} that a query may return; shorten the range or lengthen every`,
  );
}

/** Lets the process serve others while a large result is merged. */
async function pause(signal: AbortSignal | undefined): Promise<void> {
  await nextTurn();
  if (signal?.aborted) throw new QueryAbandonedError('the query was given up', { cause: signal.reason });
}
