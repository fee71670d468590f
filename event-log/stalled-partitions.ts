const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 1_000;

/** What is kept of one record until it is settled. */
export interface StallableEntry {
  readonly topic: string;
  readonly partition: number;
  /** When it is given up, on the clock of `performance.now()`; grows with the order of the calls. */
  readonly deadline: number;
  readonly settled: boolean;
}

interface Stalled<T> {
  /** Sent once, failed, to be sent again before anything of the partition that follows. */
  failed: T[];
  readonly behind: T[];
  retryMs: number;
  retryAt: number;
}

/** The partitions whose last commit failed: their records wait here, in order, and hold up no others. */
export class StalledPartitions<T extends StallableEntry> {
  readonly #stalled = new Map<string, Stalled<T>>();

  get size(): number {
    return this.#stalled.size;
  }

  /** The earliest time at which a partition may be tried again, on the clock of `performance.now()`. */
  get nextRetryAt(): number {
    return Math.min(...[...this.#stalled.values()].map(({ retryAt }) => retryAt));
  }

  /** Keeps a record back when its partition is stalled, and tells whether it did. */
  hold(entry: T): boolean {
    const stalled = this.#stalled.get(partitionKey(entry));
    stalled?.behind.push(entry);
    return stalled !== undefined;
  }

  /** Takes the failed records of partitions whose pause is over, whole partitions and at least one if any is due. */
  takeDue(now: number, fits: (entries: readonly T[]) => boolean): T[] {
    const due: T[] = [];
    for (const stalled of this.#stalled.values()) {
      if (stalled.retryAt > now) continue;
      if (due.length > 0 && !fits([...due, ...stalled.failed])) break;
      due.push(...stalled.failed);
      stalled.failed = [];
      stalled.retryAt = Number.POSITIVE_INFINITY;
    }
    return due;
  }

  /** Notes which records of a commit failed, in order; each of their partitions pauses longer than before. */
  stall(failed: readonly T[], now: number): void {
    const renewed = new Set<Stalled<T>>();
    for (const entry of failed) {
      const stalled = this.#open(partitionKey(entry));
      stalled.failed.push(entry);
      if (renewed.has(stalled)) continue;
      renewed.add(stalled);
      stalled.retryAt = now + stalled.retryMs;
      stalled.retryMs = Math.min(2 * stalled.retryMs, LAST_RETRY_MS);
    }
  }

  /** Forgets settled records. Returns what waited behind them in partitions that have no failed record left, in order. */
  release(): T[] {
    const released: T[] = [];
    for (const [key, stalled] of this.#stalled) {
      stalled.failed = stalled.failed.filter((entry) => !entry.settled);
      if (stalled.failed.length > 0) continue;
      this.#stalled.delete(key);
      for (const entry of stalled.behind) released.push(entry);
    }
    return released;
  }

  /** Forgets the settled records that wait behind failed ones. */
  prune(): void {
    for (const { behind } of this.#stalled.values()) {
      const first = behind.findIndex((entry) => !entry.settled);
      behind.splice(0, first === -1 ? behind.length : first);
    }
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const { failed, behind } of this.#stalled.values()) {
      yield* failed;
      yield* behind;
    }
  }

  #open(key: string): Stalled<T> {
    let stalled = this.#stalled.get(key);
    if (stalled === undefined) {
      stalled = { failed: [], behind: [], retryMs: FIRST_RETRY_MS, retryAt: 0 };
      this.#stalled.set(key, stalled);
    }
    return stalled;
  }
}

function partitionKey({ topic, partition }: StallableEntry): string {
  return `${topic}/${partition}`;
}
