import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MetricStore } from '../metric-store/metric-store.ts';
import type { Agg } from './agg.ts';
import { BucketMerge } from './bucket-merge.ts';
import { formatDuration } from './duration.ts';
import { QueryAbandonedError, QueryTooLargeError } from './errors.ts';
import { readOrdered } from './ordered-rows.ts';
import type { RangePlan, Segment } from './resolution.ts';

export type GroupBy = 'device' | 'none';

export interface Query {
  readonly metric: string;
  /** Undefined selects every device. */
  readonly devices?: readonly string[];
  readonly aggs: readonly Agg[];
  /** Bucket size, ms, a multiple of every resolution of the plan. Undefined: the whole range is one bucket. */
  readonly everyMs?: number;
  readonly groupBy: GroupBy;
  /** The range, and which stored windows answer it. */
  readonly plan: RangePlan;
  /** Most buckets to return, over all series. */
  readonly maxBuckets?: number;
}

export interface QueryResult {
  readonly metric: string;
  /** Size of the largest stored windows that were merged, ms. */
  readonly resolutionMs: number;
  /** Which windows answered which part of the range, in order of time. */
  readonly resolutions: readonly Segment[];
  /** The range that was used, ms since the epoch, [from, to). */
  readonly from: number;
  readonly to: number;
  /** From here on the range is complete, ms since the epoch: `from`, or later where older windows are not kept any more. */
  readonly completeFrom: number;
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
 * Rejects with `QueryTooLargeError` beyond `maxBuckets`, with `QueryAbandonedError` soon after `signal` aborts, and with
 * the store's own errors.
 */
export async function runQuery(store: MetricStore, query: Query, signal?: AbortSignal): Promise<QueryResult> {
  const { from, to, completeFrom, resolutionMs, segments } = query.plan;
  const maxBuckets = query.maxBuckets ?? DEFAULT_MAX_BUCKETS;
  refuseTooManyBuckets(query, maxBuckets);
  const merge = new BucketMerge({ ...query, from, maxBuckets });
  for (const segment of segments) await mergeSegment(store, query, segment, merge, signal);
  return {
    metric: query.metric,
    resolutionMs,
    resolutions: segments,
    from,
    to,
    completeFrom,
    everyMs: query.everyMs ?? null,
    groupBy: query.groupBy,
    aggs: query.aggs.map((agg) => agg.name),
    series: merge.finish(),
  };
}

async function mergeSegment(
  store: MetricStore,
  { metric, devices, aggs }: Query,
  segment: Segment,
  merge: BucketMerge,
  signal: AbortSignal | undefined,
): Promise<void> {
  const selection = {
    metric,
    ...(devices && { devices: [...new Set(devices)] }),
    ...segment,
    distributions: aggs.some((agg) => agg.needsDistribution),
  };
  for await (const rows of readOrdered(store, selection)) {
    for (const [i, row] of rows.entries()) {
      if (i % 1_024 === 0) await pause(signal);
      merge.add(row);
    }
    await pause(signal);
  }
}

function refuseTooManyBuckets({ everyMs, plan: { from, to } }: Query, maxBuckets: number): void {
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
