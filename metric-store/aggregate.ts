import {
  addValue,
  type Distribution,
  isAbsent,
  mergeDistributions,
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
  const count = a.count + b.count;
  const apart = b.sum / b.count - a.sum / a.count;
  const first = isEarlier(b.firstAt, b.first, a.firstAt, a.first) ? b : a;
  const last = isLater(b.lastAt, b.last, a.lastAt, a.last) ? b : a;
  return {
    count,
    sum: saturate(a.sum + b.sum),
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    first: first.first,
    firstAt: first.firstAt,
    last: last.last,
    lastAt: last.lastAt,
    m2: saturate(a.m2 + b.m2 + apart * apart * ((a.count * b.count) / count)),
    distribution: mergePresent(a.distribution, b.distribution),
  };
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
  return isAbsent(a) || isAbsent(b) ? NO_DISTRIBUTION : mergeDistributions(a, b);
}

function isEarlier(at: number, value: number, thanAt: number, thanValue: number): boolean {
  return at < thanAt || (at === thanAt && value < thanValue);
}

function isLater(at: number, value: number, thanAt: number, thanValue: number): boolean {
  return at > thanAt || (at === thanAt && value > thanValue);
}
