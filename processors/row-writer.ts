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

/** What a write under way has to end in when it is not wanted any longer, ms: most do, and need not be done again. */
const ABANDON_AFTER_MS = 2_000;

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

  /**
   * Resolves once every row is durable or refused for good. Rejects soon after the signal aborts; what of the rows is
   * stored then is not known.
   */
  async write(rows: readonly WindowAggregate[], signal: AbortSignal): Promise<void> {
    const { maxRowsPerWrite } = this.#options;
    const abandoned = abortLater(signal, ABANDON_AFTER_MS);
    const writes: Promise<void>[] = [];
    for (let from = 0; from < rows.length; from += maxRowsPerWrite) {
      const chunk = rows.slice(from, from + maxRowsPerWrite);
      writes.push(this.#limit(() => this.#writeChunk(chunk, signal, abandoned.signal)));
    }
    // Settled, not all: no write may still be running when the caller moves on.
    const outcomes = await Promise.allSettled(writes);
    abandoned.release();
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #writeChunk(
    chunk: readonly WindowAggregate[],
    signal: AbortSignal,
    abandoned: AbortSignal,
  ): Promise<void> {
    const { store, events } = this.#options;
    await retryUntilAborted(
      signal,
      (error) => {
        if (!abandoned.aborted) events.storeWriteFailed(error);
      },
      async () => {
        try {
          await store.write(chunk, abandoned);
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

/** A signal that follows another after `ms`, with its reason. `release` frees the timer. */
function abortLater(signal: AbortSignal, ms: number) {
  const later = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    timer = setTimeout(() => later.abort(signal.reason), ms);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  const release = () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  };
  return { signal: later.signal, release };
}
