import { type Aggregate, mergeAggregates } from '../metric-store/aggregate.ts';

/**
 * Merges a sequence of aggregates pairwise: neighbours first, then pairs of neighbours, like a binary counter.
 * Rounding errors grow with the logarithm of the length only, few merges touch a large sketch, and the result
 * depends on nothing but the sequence. Holds log2(length) aggregates; never changes those it is given.
 */
export class PairwiseMerge {
  /** Each is the merge of a power of two of the sequence, the powers falling. */
  readonly #merged: Aggregate[] = [];
  #length = 0;

  add(aggregate: Aggregate): void {
    let carry = aggregate;
    for (let pairs = this.#length; pairs % 2 === 1; pairs = (pairs - 1) / 2) {
      const before = this.#merged.pop();
      if (before !== undefined) carry = mergeAggregates(before, carry);
    }
    this.#merged.push(carry);
    this.#length++;
  }

  /** The merge of everything added; undefined when that is nothing. */
  result(): Aggregate | undefined {
    let merged = this.#merged.at(-1);
    for (let i = this.#merged.length - 2; i >= 0; i--) {
      const before = this.#merged[i];
      if (before !== undefined && merged !== undefined) merged = mergeAggregates(before, merged);
    }
    return merged;
  }
}
