import type { Aggregate } from '../metric-store/aggregate.ts';
import { quantile } from '../metric-store/distribution.ts';

/** One figure to compute for every bucket: `mean`, `p99.9`. */
export interface Agg {
  /** As asked for, and the key of the figure in a bucket. */
  readonly name: string;
  readonly needsDistribution: boolean;
  compute(aggregate: Aggregate): number;
}

/** What `parseAgg` accepts, for messages. */
export const AGG_EXPECTED =
  'count, sum, mean, min, max, first, last, stddev or a percentile between p0 and p100 such as p95 or p99.9';

const FIGURES: Readonly<Record<string, (aggregate: Aggregate) => number>> = {
  count: (aggregate) => aggregate.count,
  sum: (aggregate) => aggregate.sum,
  mean: (aggregate) => within(aggregate, aggregate.sum / aggregate.count),
  min: (aggregate) => aggregate.min,
  max: (aggregate) => aggregate.max,
  first: (aggregate) => aggregate.first,
  last: (aggregate) => aggregate.last,
  stddev: (aggregate) => Math.sqrt(aggregate.m2 / aggregate.count),
};

const PERCENTILE = /^p((?:0|[1-9]\d?)(?:\.\d{1,6})?)$/;

/** The aggregation of that name, or undefined. `stddev` is that of the population. */
export function parseAgg(name: string): Agg | undefined {
  if (Object.hasOwn(FIGURES, name)) {
    const compute = FIGURES[name];
    return compute && { name, needsDistribution: false, compute };
  }
  const percent = PERCENTILE.exec(name)?.[1];
  if (percent === undefined || Number(percent) === 0) return undefined;
  // Read as one decimal: 99.9 / 100 is a little more than 0.999 and would round up to the next rank.
  const q = Number(`${percent}e-2`);
  return {
    name,
    needsDistribution: true,
    compute: (aggregate) => within(aggregate, quantile(aggregate.distribution, q)),
  };
}

/** Neither a rounded mean nor a sketched percentile lies outside of what was measured. */
function within({ min, max }: Aggregate, value: number): number {
  return Math.max(min, Math.min(max, value));
}
