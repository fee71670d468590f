import {
  addDistribution,
  addValue,
  copyDistribution,
  type Distribution,
  isAbsent,
  NO_DISTRIBUTION,
} from './distribution.ts';

/**
 * An additive summary of readings: two aggregates of the same window can always be merged, across panes, windows
 * and devices. Plain data: it can be cloned and serialised.
 */
export interface Aggregate {
  /** Number of readings, at least 1. */
  count: number;
  sum: number;
  min: number;
  max: number;
  /** Value of the earliest reading by event time; of equal times the smallest value. */
  first: number;
  /** Event time of `first`, ms since the epoch. */
  firstAt: number;
  /** Value of the latest reading by event time; of equal times the largest value. */
  last: number;
  /** Event time of `last`, ms since the epoch. */
  lastAt: number;
  /**
   * Sum of squared deviations from the mean. Variance = m2 / count. Updated and merged as in Chan, Golub, LeVeque,
   * "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
   */
  m2: number;
  distribution: Distribution;
}

/** The aggregate of a single reading, a finite number. `timestamp` is its event time in ms. */
export function createAggregate(reading: number, timestamp: number): Aggregate {
  const value = unsignedZero(reading);
  return {
    count: 1,
    sum: value,
    min: value,
    max: value,
    first: value,
    firstAt: timestamp,
    last: value,
    lastAt: timestamp,
    m2: 0,
    distribution: { kind: 'raw', values: [value] },
  };
}

/** Adds a reading, a finite number, to an aggregate, in place. */
export function addReading(aggregate: Aggregate, reading: number, timestamp: number): void {
  const value = unsignedZero(reading);
  const count = aggregate.count + 1;
  const sum = saturate(aggregate.sum + value);
  const deviation = count * value - sum;
  aggregate.m2 = saturate(aggregate.m2 + (deviation * deviation) / (count * aggregate.count));
  aggregate.count = count;
  aggregate.sum = sum;
  if (value < aggregate.min) aggregate.min = value;
  if (value > aggregate.max) aggregate.max = value;
  if (isEarlier(timestamp, value, aggregate.firstAt, aggregate.first)) {
    aggregate.first = value;
    aggregate.firstAt = timestamp;
  }
  if (isLater(timestamp, value, aggregate.lastAt, aggregate.last)) {
    aggregate.last = value;
    aggregate.lastAt = timestamp;
  }
  aggregate.distribution = addValue(aggregate.distribution, value);
}

/** The aggregate of both sets of readings. Neither argument is changed. */
export function mergeAggregates(a: Aggregate, b: Aggregate): Aggregate {
  const merged = copyAggregate(a);
  mergeInto(merged, b);
  return merged;
}

/** A copy that shares nothing with the original. */
export function copyAggregate(aggregate: Aggregate): Aggregate {
  const { count, sum, min, max, first, firstAt, last, lastAt, m2 } = aggregate;
  const distribution = copyDistribution(aggregate.distribution);
  // Property by property, in the order of `createAggregate`: the same hidden class keeps both fast.
  return { count, sum, min, max, first, firstAt, last, lastAt, m2, distribution };
}

/** Adds the readings of an aggregate to another, in place. The one added is not changed, and shares nothing with it. */
export function mergeInto(aggregate: Aggregate, added: Aggregate): void {
  const count = aggregate.count + added.count;
  const apart = added.sum / added.count - aggregate.sum / aggregate.count;
  aggregate.m2 = saturate(
    aggregate.m2 + added.m2 + apart * apart * ((aggregate.count * added.count) / count),
  );
  aggregate.count = count;
  aggregate.sum = saturate(aggregate.sum + added.sum);
  aggregate.min = Math.min(aggregate.min, added.min);
  aggregate.max = Math.max(aggregate.max, added.max);
  if (isEarlier(added.firstAt, added.first, aggregate.firstAt, aggregate.first)) {
    aggregate.first = added.first;
    aggregate.firstAt = added.firstAt;
  }
  if (isLater(added.lastAt, added.last, aggregate.lastAt, aggregate.last)) {
    aggregate.last = added.last;
    aggregate.lastAt = added.lastAt;
  }
  aggregate.distribution = mergePresent(aggregate.distribution, added.distribution);
}

/** -0 is the reading 0: the two compare equal, so which of them is the smallest would depend on their order. */
function unsignedZero(value: number): number {
  return value + 0;
}

/** Sums that leave the range of a double stay at its edge: stores and JSON have no infinity. */
function saturate(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value));
}

/** Rows read without distributions merge into one without. */
function mergePresent(a: Distribution, b: Distribution): Distribution {
  return isAbsent(a) || isAbsent(b) ? NO_DISTRIBUTION : addDistribution(a, b);
}

function isEarlier(at: number, value: number, thanAt: number, thanValue: number): boolean {
  return at < thanAt || (at === thanAt && value < thanValue);
}

function isLater(at: number, value: number, thanAt: number, thanValue: number): boolean {
  return at > thanAt || (at === thanAt && value > thanValue);
}
