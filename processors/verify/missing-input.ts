import type { ExpiredRange } from '../log-range.ts';

/** Records that the range needs and the log does not have. */
export interface MissingRange {
  readonly topic: string;
  readonly partition: number;
  /** `gap`: offsets between others that are there. `expired`: records from before the first one that is kept. */
  readonly kind: 'gap' | 'expired';
  /** The first missing offset; undefined when that is not known. */
  readonly from: bigint | undefined;
  /** The first offset after them. */
  readonly to: bigint;
}

const MAX_RANGES = 1_000;

/** Collects what is missing of the input, the first thousand places. */
export class MissingInput {
  readonly ranges: MissingRange[] = [];

  addExpired(topic: string, { partition, earliest }: ExpiredRange): void {
    this.#add({ topic, partition, kind: 'expired', from: undefined, to: earliest });
  }

  /** `from` is the offset that comes next, `to` the one that came. */
  addGap(topic: string, partition: number, from: bigint, to: bigint): void {
    if (to > from) this.#add({ topic, partition, kind: 'gap', from, to });
  }

  #add(range: MissingRange): void {
    if (this.ranges.length < MAX_RANGES) this.ranges.push(range);
  }
}
