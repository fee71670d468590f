import { QueriesBusyError } from './errors.ts';

/**
 * Bounds the calls that run at once. A call holds its place until its work has settled, also when nobody waits for
 * it any more, so that a store that hangs cannot gather work.
 */
export class QueryGate {
  readonly #maxRunning: number;
  #running = 0;

  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning;
  }

  get running(): number {
    return this.#running;
  }

  /** Rejects with `QueriesBusyError` at once when all places are taken. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#maxRunning) {
      throw new QueriesBusyError(
        `${this.#running} queries are running, as many as may run at once; try again`,
      );
    }
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
    }
  }
}
