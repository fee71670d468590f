import { MetricStoreClosedError, MetricStoreUnavailableError } from '../errors.ts';
import type { WindowAggregate } from '../metric-store.ts';

export interface WriteQueueOptions {
  /** Makes rows durable in one transaction; all of them or none. */
  readonly commit: (rows: readonly WindowAggregate[]) => Promise<void>;
  /** Writes are merged into one transaction until it has at least this many rows. */
  readonly maxRowsPerCommit: number;
  /** With more rows than this waiting, further writes are rejected with `MetricStoreUnavailableError`. */
  readonly maxQueuedRows: number;
}

interface Waiting {
  readonly rows: readonly WindowAggregate[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One transaction at a time: what is written while one is in flight is merged into the next. */
export class WriteQueue {
  readonly #options: WriteQueueOptions;
  #waiting: Waiting[] = [];
  #waitingRows = 0;
  #turns: (() => Promise<void>)[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  /** Resolves once the rows are durable. */
  write(rows: readonly WindowAggregate[]): Promise<void> {
    if (this.#closed) return Promise.reject(new MetricStoreClosedError('the metric store is closed'));
    const { maxQueuedRows } = this.#options;
    if (this.#waitingRows > 0 && this.#waitingRows + rows.length > maxQueuedRows) {
      const message = `${this.#waitingRows} rows are waiting to be stored; the bound is ${maxQueuedRows}`;
      return Promise.reject(new MetricStoreUnavailableError(message));
    }
    this.#waitingRows += rows.length;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ rows, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Runs `work` while no commit is in flight. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new MetricStoreClosedError('the metric store is closed'));
    return new Promise((resolve, reject) => {
      this.#turns.push(() => work().then(resolve, reject));
      this.#running ??= this.#run();
    });
  }

  /** Refuses further work and waits for what was accepted. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    // Writes of the same turn of the event loop share the first commit.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0 || this.#turns.length > 0) {
      const turn = this.#turns.shift();
      if (turn !== undefined) await turn();
      if (this.#waiting.length > 0) await this.#commit(this.#take());
    }
    this.#running = undefined;
  }

  #take(): Waiting[] {
    let count = 0;
    let rows = 0;
    while (count < this.#waiting.length && rows < this.#options.maxRowsPerCommit) {
      rows += this.#waiting[count]?.rows.length ?? 0;
      count++;
    }
    this.#waitingRows -= rows;
    return this.#waiting.splice(0, count);
  }

  async #commit(writes: readonly Waiting[]): Promise<void> {
    const [only] = writes;
    const rows = writes.length === 1 && only ? only.rows : writes.flatMap((write) => write.rows);
    try {
      await this.#options.commit(rows);
      for (const write of writes) write.resolve();
    } catch (error) {
      for (const write of writes) write.reject(error);
    }
  }
}
