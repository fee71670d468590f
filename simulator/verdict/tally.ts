/** The aggregate of the values of one series that a query answers with. */
export interface Tally {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** A tally being computed here, with what is needed to compare sums. */
export interface ExpectedTally extends Tally {
  /** Sum of the absolute values: what a tolerance of a sum relates to. */
  readonly magnitude: number;
}

const SUM_TOLERANCE = 1e-9;

export const EMPTY_TALLY: ExpectedTally = {
  count: 0,
  sum: 0,
  min: Number.POSITIVE_INFINITY,
  max: Number.NEGATIVE_INFINITY,
  magnitude: 0,
};

/** The tally with one value more. */
export function withValue(tally: ExpectedTally, value: number): ExpectedTally {
  return {
    count: tally.count + 1,
    sum: tally.sum + value,
    min: Math.min(tally.min, value),
    max: Math.max(tally.max, value),
    magnitude: tally.magnitude + Math.abs(value),
  };
}

/** Sums values with Neumaier's compensation, so that a long run's expectation is exact to the last digits. */
export class TallyBuilder {
  #count = 0;
  #sum = 0;
  #compensation = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #magnitude = 0;

  add(value: number): void {
    const sum = this.#sum + value;
    this.#compensation +=
      Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
    this.#count++;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    this.#magnitude += Math.abs(value);
  }

  build(): ExpectedTally {
    return {
      count: this.#count,
      sum: this.#sum + this.#compensation,
      min: this.#min,
      max: this.#max,
      magnitude: this.#magnitude,
    };
  }
}

/** Count, min and max exactly; the sum within 1e-9 of the sum of the absolute values. */
export function equals(expected: ExpectedTally, seen: Tally): boolean {
  return (
    seen.count === expected.count &&
    (expected.count === 0 || (seen.min === expected.min && seen.max === expected.max)) &&
    Math.abs(seen.sum - expected.sum) <= SUM_TOLERANCE * expected.magnitude
  );
}

/**
 * Whether `seen` can be `certain` plus some of `extras`, by bounds: as many more, the sum between those of the smallest
 * and the largest extras of that number, and extremes that occur. Necessary, not sufficient.
 */
export function isWithin(certain: ExpectedTally, extras: readonly number[], seen: Tally): boolean {
  const more = seen.count - certain.count;
  if (more < 0 || more > extras.length) return false;
  const ascending = extras.toSorted((a, b) => a - b);
  const least = sumOf(ascending.slice(0, more));
  const most = sumOf(ascending.slice(ascending.length - more));
  const tolerance = SUM_TOLERANCE * (certain.magnitude + sumOf(extras.map(Math.abs)));
  return (
    seen.sum >= certain.sum + least - tolerance &&
    seen.sum <= certain.sum + most + tolerance &&
    occurs(seen.min, certain.min, extras) &&
    seen.min <= certain.min &&
    occurs(seen.max, certain.max, extras) &&
    seen.max >= certain.max
  );
}

/** Whether `seen` can be `certain` with some of its values, or of `extras`, counted again, by bounds. */
export function isWithinRepeats(certain: ExpectedTally, extras: readonly number[], seen: Tally): boolean {
  const more = seen.count - certain.count;
  if (more < 0) return false;
  const least = extras.reduce((a, b) => Math.min(a, b), certain.min);
  const most = extras.reduce((a, b) => Math.max(a, b), certain.max);
  const largest = Math.max(Math.abs(least), Math.abs(most));
  const tolerance = SUM_TOLERANCE * (certain.magnitude + more * largest);
  return (
    seen.sum >= certain.sum + more * least - tolerance &&
    seen.sum <= certain.sum + more * most + tolerance &&
    occurs(seen.min, certain.min, extras) &&
    seen.min <= certain.min &&
    occurs(seen.max, certain.max, extras) &&
    seen.max >= certain.max
  );
}

function occurs(extreme: number, certain: number, extras: readonly number[]): boolean {
  return extreme === certain || extras.includes(extreme);
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
