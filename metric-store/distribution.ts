/**
 * The distribution of the values of an aggregate, for percentiles: the values themselves while they are few
 * (percentiles are then exact), a DDSketch beyond that (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable
 * quantile sketch with relative-error guarantees", VLDB 2019). Plain data: it can be cloned and serialised.
 */
export type Distribution = RawValues | Sketch;

/** All values, in no particular order. */
export interface RawValues {
  readonly kind: 'raw';
  readonly values: number[];
}

/** Counts of values per logarithmic bucket: bucket i of `positive` counts γ^(i-1) < v <= γ^i. */
export interface Sketch {
  readonly kind: 'sketch';
  readonly positive: Map<number, number>;
  /** The same, of the absolute values of negative numbers. */
  readonly negative: Map<number, number>;
  /** Values whose absolute value is below the smallest normal double. */
  zero: number;
}

/** Stated relative error of a percentile out of a sketch. */
export const RELATIVE_ACCURACY = 0.01;

/** An aggregate keeps its raw values up to this many. */
export const MAX_RAW_VALUES = 64;

/**
 * A sketch keeps at most this many neighbouring buckets per sign, a range of about 6 × 10^17; values closer to
 * zero than that are counted in the bucket closest to zero that is kept.
 */
export const MAX_BUCKETS = 2_048;

const NO_VALUES: number[] = [];
Object.freeze(NO_VALUES);

/** What a selection without distributions carries. Frozen: adding a value to it throws. */
export const NO_DISTRIBUTION: Distribution = Object.freeze({ kind: 'raw', values: NO_VALUES });

/** Whether a distribution is `NO_DISTRIBUTION` or a copy of it: one of at least one value is never empty. */
export function isAbsent(distribution: Distribution): boolean {
  return distribution.kind === 'raw' && distribution.values.length === 0;
}

const GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY);
const PER_LOG = 1 / Math.log(GAMMA);
const SMALLEST = 2 ** -1022;

/** Adds a value in place and returns the distribution to keep: the same one, or the sketch that replaces it. */
export function addValue(distribution: Distribution, value: number): Distribution {
  if (distribution.kind === 'raw') {
    if (distribution.values.length < MAX_RAW_VALUES) {
      distribution.values.push(value);
      return distribution;
    }
    const sketch = toSketch(distribution);
    addToSketch(sketch, value, 1);
    return sketch;
  }
  addToSketch(distribution, value, 1);
  return distribution;
}

/** The distribution of both; neither argument is changed. Commutative and associative. */
export function mergeDistributions(a: Distribution, b: Distribution): Distribution {
  return addDistribution(copyDistribution(a), b);
}

/** Adds a distribution to `to` in place, as `addValue` does. The one added is not changed. */
export function addDistribution(to: Distribution, added: Distribution): Distribution {
  if (to.kind === 'raw' && added.kind === 'raw' && to.values.length + added.values.length <= MAX_RAW_VALUES) {
    for (const value of added.values) to.values.push(value);
    return to;
  }
  const sketch = to.kind === 'raw' ? toSketch(to) : to;
  if (added.kind === 'raw') {
    for (const value of added.values) addToSketch(sketch, value, 1);
    return sketch;
  }
  sketch.zero += added.zero;
  for (const [bucket, count] of added.positive) addToBucket(sketch.positive, bucket, count);
  for (const [bucket, count] of added.negative) addToBucket(sketch.negative, bucket, count);
  return sketch;
}

/** A copy that shares nothing with the original. */
export function copyDistribution(distribution: Distribution): Distribution {
  if (distribution.kind === 'raw') return { kind: 'raw', values: distribution.values.slice() };
  const { kind, positive, negative, zero } = distribution;
  return { kind, positive: new Map(positive), negative: new Map(negative), zero };
}

/**
 * The value at quantile q in [0, 1]: the smallest value such that at least q of all values are not above it (nearest
 * rank). NaN for an empty distribution. Callers clamp to the exact min and max that they know.
 */
export function quantile(distribution: Distribution, q: number): number {
  if (distribution.kind === 'raw') {
    const sorted = Float64Array.from(distribution.values).sort();
    return sorted[rankOf(q, sorted.length)] ?? Number.NaN;
  }
  return sketchQuantile(distribution, q);
}

function sketchQuantile(sketch: Sketch, q: number): number {
  const negative = [...sketch.negative].sort(([a], [b]) => b - a);
  const positive = [...sketch.positive].sort(([a], [b]) => a - b);
  const total = sumCounts(negative) + sketch.zero + sumCounts(positive);
  if (total === 0) return Number.NaN;
  let before = rankOf(q, total);
  for (const [bucket, count] of negative) {
    if (before < count) return -bucketValue(bucket);
    before -= count;
  }
  if (before < sketch.zero) return 0;
  before -= sketch.zero;
  for (const [bucket, count] of positive) {
    if (before < count) return bucketValue(bucket);
    before -= count;
  }
  return Number.NaN;
}

/** Zero-based nearest rank. A product that is whole but for rounding (0.55 * 100) is taken as whole. */
function rankOf(q: number, total: number): number {
  return Math.max(0, Math.ceil(q * total * (1 - 4 * Number.EPSILON)) - 1);
}

function sumCounts(buckets: readonly (readonly [number, number])[]): number {
  return buckets.reduce((sum, [, count]) => sum + count, 0);
}

/** The value whose relative distance to both edges of the bucket is the stated error. */
function bucketValue(bucket: number): number {
  // From the lower edge: the upper edge of the highest bucket is beyond the range of a double.
  return Math.min(GAMMA ** (bucket - 1) * ((2 * GAMMA) / (GAMMA + 1)), Number.MAX_VALUE);
}

function toSketch({ values }: RawValues): Sketch {
  const sketch: Sketch = { kind: 'sketch', positive: new Map(), negative: new Map(), zero: 0 };
  for (const value of values) addToSketch(sketch, value, 1);
  return sketch;
}

function addToSketch(sketch: Sketch, value: number, count: number): void {
  const magnitude = Math.abs(value);
  if (magnitude < SMALLEST) sketch.zero += count;
  else
    addToBucket(
      value > 0 ? sketch.positive : sketch.negative,
      Math.ceil(Math.log(magnitude) * PER_LOG),
      count,
    );
}

function addToBucket(buckets: Map<number, number>, bucket: number, count: number): void {
  const present = buckets.get(bucket);
  if (present !== undefined) {
    buckets.set(bucket, present + count);
    return;
  }
  buckets.set(bucket, count);
  if (buckets.size > 1) collapse(buckets);
}

/** Folds the buckets below the kept range into its lowest one. The result depends on the multiset of values only. */
function collapse(buckets: Map<number, number>): void {
  let highest = Number.NEGATIVE_INFINITY;
  let lowest = Number.POSITIVE_INFINITY;
  for (const bucket of buckets.keys()) {
    if (bucket > highest) highest = bucket;
    if (bucket < lowest) lowest = bucket;
  }
  const floor = highest - MAX_BUCKETS + 1;
  if (lowest >= floor) return;
  let collapsed = 0;
  for (const [bucket, count] of buckets) {
    if (bucket > floor) continue;
    collapsed += count;
    buckets.delete(bucket);
  }
  buckets.set(floor, collapsed);
}
