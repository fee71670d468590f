import type { DifferingField } from './differing-fields.ts';
import type { UnquarantinedMessage } from './message-collector.ts';

/** A window of a series. */
export interface WindowPlace {
  readonly deviceId: string;
  readonly metric: string;
  /** Window size, ms. */
  readonly resolutionMs: number;
  /** Ms since the epoch. */
  readonly windowStart: number;
}

/** One way in which the store is not what the log says. */
export type Difference =
  | (WindowPlace & {
      readonly kind: 'missing row';
      readonly expected: { readonly count: number; readonly sum: number };
    })
  | (WindowPlace & {
      readonly kind: 'extra row';
      readonly seen: { readonly count: number; readonly sum: number };
    })
  | (WindowPlace & { readonly kind: 'differing row'; readonly fields: readonly DifferingField[] })
  | (UnquarantinedMessage & { readonly kind: 'not quarantined' });

/** All differences are counted, the first ones kept. */
export class Differences {
  readonly listed: Difference[] = [];
  readonly #limit: number;
  #total = 0;
  #unquarantined = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get total(): number {
    return this.#total;
  }

  /** How many messages had to be quarantined and are not. */
  get unquarantined(): number {
    return this.#unquarantined;
  }

  add(difference: Difference): void {
    this.#total++;
    if (difference.kind === 'not quarantined') this.#unquarantined++;
    if (this.listed.length < this.#limit) this.listed.push(difference);
  }
}
