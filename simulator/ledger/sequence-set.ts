/**
 * A set of whole numbers from 0 kept as intervals: a device whose messages are acknowledged in order takes one
 * interval however long it runs.
 */
export class SequenceSet {
  /** Starts (inclusive) and ends (exclusive) in turn, ascending; intervals neither touch nor overlap. */
  readonly #bounds: number[] = [];
  #size = 0;

  /** How many numbers the set holds. */
  get size(): number {
    return this.#size;
  }

  has(value: number): boolean {
    return this.#boundsUpTo(value) % 2 === 1;
  }

  /** Adds a number. Returns false when the set holds it already. */
  add(value: number): boolean {
    const bounds = this.#bounds;
    const at = this.#boundsUpTo(value);
    if (at % 2 === 1) return false;
    this.#size++;
    const extendsLeft = at > 0 && bounds[at - 1] === value;
    const extendsRight = bounds[at] === value + 1;
    if (extendsLeft && extendsRight) bounds.splice(at - 1, 2);
    else if (extendsLeft) bounds[at - 1] = value + 1;
    else if (extendsRight) bounds[at] = value;
    else bounds.splice(at, 0, value, value + 1);
    return true;
  }

  /** The numbers, ascending. */
  *values(): Generator<number> {
    for (let i = 0; i < this.#bounds.length; i += 2) {
      const end = this.#bounds[i + 1] ?? 0;
      for (let value = this.#bounds[i] ?? 0; value < end; value++) yield value;
    }
  }

  /** The numbers in [0, end) that the set does not hold, ascending. */
  *gaps(end: number): Generator<number> {
    let value = 0;
    for (let i = 0; i < this.#bounds.length && value < end; i += 2) {
      const start = Math.min(this.#bounds[i] ?? 0, end);
      for (; value < start; value++) yield value;
      value = this.#bounds[i + 1] ?? value;
    }
    for (; value < end; value++) yield value;
  }

  /** How many bounds are at most `value`: odd within an interval. */
  #boundsUpTo(value: number): number {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bounds[middle] ?? 0) <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
