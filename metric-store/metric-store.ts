import type { Aggregate } from './aggregate.ts';

/**
 * PORT 2: window aggregates, written by processors and read by queries.
 *
 * Promises that every adapter keeps, held by `metric-store.contract.ts`:
 *
 * - **Durability.** When {@link MetricStore.write} resolves, the rows survive a crash of any process.
 * - **Identity.** A row is identified by (resolution, device, metric, window start, pane). Writing the same
 *   identity again replaces the whole row, so writing the same rows twice changes nothing.
 * - **Atomicity** is per row: after a failed write any subset of its rows may be stored. Writing them again is safe.
 * - **Concurrency.** `write` and `read` may be called concurrently; rows of one identity must not be written
 *   concurrently with different content.
 * - **Errors** are `MetricStoreError`s; their `retryable` tells whether the same call may succeed later.
 */
export interface MetricStore {
  /**
   * Stores rows; resolves once all are durable. Rejects with `MetricStoreUnavailableError` (retry: nothing is
   * known about the rows) or `RowsRefusedError` (the rows it names can never be stored; all others are durable).
   * When the signal aborts, a write that has not begun rejects with its reason; so does one under way, about whose rows
   * nothing is known then, unless the engine cannot abandon it.
   */
  write(rows: readonly WindowAggregate[], signal?: AbortSignal): Promise<void>;

  /** Streams the selected rows, every pane of them, in chunks of unspecified order. */
  read(selection: Selection): AsyncIterable<readonly WindowAggregate[]>;

  /** All series with at least one row, ordered by device, then metric. */
  series(): Promise<readonly Series[]>;

  /** Resolves when the store answers, rejects with a `MetricStoreError` within a few seconds when it does not. */
  ping(): Promise<void>;

  /** Waits for running calls and frees everything. Later calls reject with `MetricStoreClosedError`. */
  close(): Promise<void>;
}

/** One device's one metric. */
export interface Series {
  readonly deviceId: string;
  readonly metric: string;
}

/** The aggregate of one pane of one window of one series. */
export interface WindowAggregate extends Series {
  /** Window size, ms. */
  readonly resolutionMs: number;
  /** Inclusive start of the window, ms since the epoch, a multiple of the resolution. */
  readonly windowStart: number;
  /** 0 = on time; n = the pane of the readings that came n windows late. Panes of a window are merged by readers. */
  readonly pane: number;
  readonly aggregate: Aggregate;
}

export interface Selection {
  readonly metric: string;
  /** Device ids; undefined selects every device. */
  readonly devices?: readonly string[];
  readonly resolutionMs: number;
  /** Windows that start at or after this, ms since the epoch. */
  readonly from: number;
  /** Windows that start before this, ms since the epoch. */
  readonly to: number;
  /** Whether `aggregate.distribution` is needed; when false it comes back as `NO_DISTRIBUTION`. */
  readonly distributions: boolean;
}
