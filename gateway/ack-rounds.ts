import type { DeviceConnection } from './device-connection.ts';

/** Gathers the connections that are owed acknowledgements, so that each gets one write in a turn of the event loop. */
export class AckRounds {
  #due = new Set<DeviceConnection>();
  readonly #onRound: (ms: number) => void;
  readonly #run = () => this.flush();

  /** `onRound` is told how long the oldest message of the round's first connection took, ms. */
  constructor(onRound: (ms: number) => void) {
    this.#onRound = onRound;
  }

  add(connection: DeviceConnection): void {
    if (this.#due.size === 0) setImmediate(this.#run);
    this.#due.add(connection);
  }

  /** Runs the round that is due, if any. */
  flush(): void {
    if (this.#due.size === 0) return;
    const due = this.#due;
    this.#due = new Set();
    let oldestAt: number | undefined;
    for (const connection of due) oldestAt = connection.settle() ?? oldestAt;
    if (oldestAt !== undefined) this.#onRound(performance.now() - oldestAt);
  }
}
