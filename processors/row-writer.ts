import pLimit, { type LimitFunction } from 'p-limit';
import { RowsRefusedError } from '../metric-store/errors.ts';
import type { MetricStore, WindowAggregate } from '../metric-store/metric-store.ts';
import type { ProcessorEvents } from './processor-events.ts';
import { retryUntilAborted } from './retry.ts';

export interface RowWriterOptions {
  readonly store: MetricStore;
  readonly events: ProcessorEvents;
  /** Writes to the store that run at once, over all partitions. */
  readonly maxConcurrentWrites: number;
  readonly maxRowsPerWrite: number;
}

/**
 * Writes rows until they are durable, however long the store is away. What waits here is bounded by the panes that
 * may be open: each partition waits for its own rows before it folds on.
 */
export class RowWriter {
  readonly #options: RowWriterOptions;
  readonly #limit: LimitFunction;

  constructor(options: RowWriterOptions) {
    this.#options = options;
    this.#limit = pLimit(options.maxConcurrentWrites);
  }

  /** Resolves once every row is durable or refused for good. Rejects with the signal's reason when it aborts. */
  async write(rows: readonly WindowAggregate[], signal: AbortSignal): Promise<void> {
    const { maxRowsPerWrite } = this.#options;
    const writes: Promise<void>[] = [];
    for (let from = 0; from < rows.length; from += maxRowsPerWrite) {
      const chunk = rows.slice(from, from + maxRowsPerWrite);
      writes.push(this.#limit(() => this.#writeChunk(chunk, signal)));
    }
    // Settled, not all: no write may still be running when the caller moves on.
    const outcomes = await Promise.allSettled(writes);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #writeChunk(chunk: readonly WindowAggregate[], signal: AbortSignal): Promise<void> {
    const { store, events } = this.#options;
    await retryUntilAborted(
      signal,
      (error) => events.storeWriteFailed(error),
      async () => {
        try {
          await store.write(chunk);
          events.rowsWritten(chunk.length);
        } catch (error) {
          if (!(error instanceof RowsRefusedError)) throw error;
          events.rowsWritten(chunk.length - error.refused.length);
          events.rowsRefused(error, chunk);
        }
      },
    );
  }
}
