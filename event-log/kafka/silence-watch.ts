/** Ticks that come later than this many tick lengths were held up: the process was suspended, or its event loop blocked. */
const HELD_UP_TICKS = 4;

/**
 * Measures for how long nothing was heard while one could have heard something: the count starts again after a time in
 * which the process did not run. Times are ms of a clock that never runs backwards.
 */
export class SilenceWatch {
  readonly #tickMs: number;
  #lastSign: number;
  #lastTick: number;

  constructor(tickMs: number, now: number) {
    this.#tickMs = tickMs;
    this.#lastSign = now;
    this.#lastTick = now;
  }

  /** There was a sign of life. */
  heard(now: number): void {
    this.#lastSign = now;
  }

  /** Call every `tickMs`. Returns for how long nothing was heard, ms. */
  tick(now: number): number {
    if (now - this.#lastTick > HELD_UP_TICKS * this.#tickMs) this.#lastSign = now;
    this.#lastTick = now;
    return now - this.#lastSign;
  }
}
