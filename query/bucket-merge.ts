import type { WindowAggregate } from '../metric-store/metric-store.ts';
import type { Agg } from './agg.ts';
import { QueryTooLargeError } from './errors.ts';
import { compareText } from './ordered-rows.ts';
import { PairwiseMerge } from './pairwise-merge.ts';
import type { Bucket, GroupBy, QuerySeries } from './query.ts';

export interface BucketMergeOptions {
  readonly aggs: readonly Agg[];
  /** Start of the first bucket, ms since the epoch. */
  readonly from: number;
  /** Undefined: everything is one bucket. */
  readonly everyMs?: number;
  readonly groupBy: GroupBy;
  readonly maxBuckets: number;
}

/**
 * Folds rows into buckets per series. Rows come ordered by window start, so only the aggregates of one bucket are
 * held; of every bucket before it just the figures asked for.
 */
export class BucketMerge {
  readonly #options: BucketMergeOptions;
  readonly #series = new Map<string | null, Bucket[]>();
  readonly #open = new Map<string | null, PairwiseMerge>();
  #start: number;
  #buckets = 0;

  constructor(options: BucketMergeOptions) {
    this.#options = options;
    this.#start = options.from;
  }

  /** Throws `QueryTooLargeError` when the row opens more buckets than allowed. */
  add(row: WindowAggregate): void {
    const start = this.#bucketStart(row.windowStart);
    if (start !== this.#start) {
      this.#closeBucket();
      this.#start = start;
    }
    const key = this.#options.groupBy === 'device' ? row.deviceId : null;
    this.#merge(key).add(row.aggregate);
  }

  /** All series ordered by device. Nothing can be added afterwards. */
  finish(): QuerySeries[] {
    this.#closeBucket();
    return [...this.#series]
      .map(([deviceId, buckets]) => ({ deviceId, buckets }))
      .sort((a, b) => compareText(a.deviceId ?? '', b.deviceId ?? ''));
  }

  #bucketStart(windowStart: number): number {
    const { everyMs, from } = this.#options;
    return everyMs === undefined ? from : Math.floor(windowStart / everyMs) * everyMs;
  }

  #merge(key: string | null): PairwiseMerge {
    const present = this.#open.get(key);
    if (present !== undefined) return present;
    if (this.#buckets === this.#options.maxBuckets) {
      throw new QueryTooLargeError(
        `the result has more than the ${this.#buckets} buckets that a query may return; shorten the range, lengthen every, or name fewer devices`,
      );
    }
    this.#buckets++;
    const merge = new PairwiseMerge();
    this.#open.set(key, merge);
    return merge;
  }

  #closeBucket(): void {
    for (const [key, merge] of this.#open) {
      const aggregate = merge.result();
      if (aggregate === undefined) continue;
      const figures = this.#options.aggs.map((agg) => [agg.name, agg.compute(aggregate)] as const);
      const bucket: Bucket = { start: this.#start, ...Object.fromEntries(figures) };
      const buckets = this.#series.get(key);
      if (buckets === undefined) this.#series.set(key, [bucket]);
      else buckets.push(bucket);
    }
    this.#open.clear();
  }
}
