import type { Logger } from 'pino';
import type { PartitionLog } from './partition-log.ts';
import type { Store } from './store.ts';

const MAX_BATCHES_PER_WRITE = 100;
const MAX_WRITES_PER_PASS = 50;
const LONGEST_PAUSE_MS = 60_000;
const SHORTEST_PAUSE_MS = 1_000;

export interface RetainedPartition {
  readonly log: PartitionLog;
  readonly retentionMs: number;
}

/**
 * Removes batches whose log time is older than their topic's retention, oldest first. A pass removes a bounded
 * number from each partition; while one finds more, the next follows soon.
 */
export class Retention {
  readonly #store: Store;
  readonly #partitions: readonly RetainedPartition[];
  readonly #clock: () => number;
  readonly #logger: Logger | undefined;
  readonly #pauseMs: number;
  #timer: NodeJS.Timeout | undefined;
  #passing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    store: Store,
    partitions: readonly RetainedPartition[],
    clock: () => number,
    logger: Logger | undefined,
  ) {
    this.#store = store;
    this.#partitions = partitions;
    this.#clock = clock;
    this.#logger = logger;
    const shortest = Math.min(...partitions.map(({ retentionMs }) => retentionMs));
    this.#pauseMs = Math.max(SHORTEST_PAUSE_MS, Math.min(LONGEST_PAUSE_MS, shortest / 10));
    this.#schedule(SHORTEST_PAUSE_MS);
  }

  /** Stops and waits for the pass that runs. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#passing;
  }

  #schedule(pauseMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#passing = this.#pass();
    }, pauseMs);
    this.#timer.unref();
  }

  async #pass(): Promise<void> {
    let more = false;
    try {
      for (const partition of this.#partitions) {
        if (this.#closed) return;
        more = (await this.#expire(partition)) || more;
      }
    } catch (error) {
      more = false;
      this.#logger?.warn({ err: error }, 'expired records could not be removed; tried again later');
    }
    this.#schedule(more ? SHORTEST_PAUSE_MS : this.#pauseMs);
  }

  /** Tells whether there may be more to remove. */
  async #expire({ log, retentionMs }: RetainedPartition): Promise<boolean> {
    for (let pass = 0; pass < MAX_WRITES_PER_PASS && !this.#closed; pass++) {
      const writes = log.expire(this.#clock() - retentionMs, MAX_BATCHES_PER_WRITE);
      if (writes.length > 0) await this.#store.write(writes, 'upkeep');
      if (writes.length <= MAX_BATCHES_PER_WRITE) return false;
    }
    return true;
  }
}
