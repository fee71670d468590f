import { randomBytes } from 'node:crypto';
import type { Consumer, EventLog, LogRecord, PartitionOffsets, RecordBatch } from '../event-log/event-log.ts';
import { ProcessorError } from './errors.ts';

/** Part of one partition: the offsets from `from` up to, and without, `to`. */
export interface PartitionRange {
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

export interface LogRangeOptions {
  readonly log: EventLog;
  readonly topic: string;
  /** What the consumer's group of one is for; its name begins with it. */
  readonly purpose: string;
  /** At most one for each partition; other partitions are not read. */
  readonly ranges: readonly PartitionRange[];
  /**
   * Handles records of one partition, at least one, in order; partitions run concurrently. `signal` aborts when the
   * partition is lost for now or the reading ends: a rejection after that makes the same records come again. Any other
   * rejection ends the reading.
   */
  readonly onRecords: (
    partition: number,
    records: readonly LogRecord[],
    signal: AbortSignal,
  ) => Promise<void> | void;
  /** The consumer failed and recovers by itself. */
  readonly onFailure: (error: Error) => void;
  /** Ends the reading early. */
  readonly signal: AbortSignal;
  /** The reading ends when the log delivers nothing for this long, ms; 60 s unless given. */
  readonly stallTimeoutMs?: number;
}

const STALL_TIMEOUT_MS = 60_000;
const WATCH_MS = 250;

/** The log does not deliver records that it says it holds. */
export class LogRangeStalledError extends ProcessorError {
  readonly code = 'PROCESSOR_LOG_RANGE_STALLED';
  readonly retryable = true;
}

/**
 * Reads ranges of a topic once, as a consumer of its own that leaves no trace. Resolves when every range was handled.
 * Rejects with the signal's reason, with what `onRecords` rejected with, or with `LogRangeStalledError`.
 */
export async function readLogRange(options: LogRangeOptions): Promise<void> {
  const reading = new LogRangeReading(options);
  await reading.run();
}

class LogRangeReading {
  readonly #options: LogRangeOptions;
  /** The next offset to handle, by partition. */
  readonly #next: Map<number, bigint>;
  readonly #ends: ReadonlyMap<number, bigint>;
  /** Aborts when the reading is over. */
  readonly #over = new AbortController();
  #failure: { readonly reason: unknown } | undefined;
  #handling = 0;
  #lastProgress = performance.now();

  constructor(options: LogRangeOptions) {
    this.#options = options;
    const { ranges } = options;
    this.#next = new Map(ranges.map(({ partition, from }) => [partition, from]));
    this.#ends = new Map(ranges.map(({ partition, to }) => [partition, to]));
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    if (this.#isComplete()) return;
    const onAbort = () => this.#end({ reason: signal.reason });
    signal.addEventListener('abort', onAbort, { once: true });
    const watch = setInterval(() => this.#checkStall(), WATCH_MS);
    try {
      const consumer = await this.#consume();
      await this.#untilOver();
      await consumer.close();
    } finally {
      clearInterval(watch);
      signal.removeEventListener('abort', onAbort);
    }
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  async #untilOver(): Promise<void> {
    const { signal } = this.#over;
    if (signal.aborted) return;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }

  #consume(): Promise<Consumer> {
    const { log, topic, purpose, onFailure } = this.#options;
    return log.consume({
      topic,
      group: `${purpose}-${randomBytes(6).toString('hex')}`,
      isEphemeral: true,
      onAssigned: async (partition) => this.#next.get(partition) ?? (await this.#endOf(partition)),
      onRevoked: () => {},
      onBatch: async (batch) => {
        await this.#handle(batch);
        return undefined;
      },
      onError: onFailure,
    });
  }

  /** A partition that is not read is waited on at its end. */
  async #endOf(partition: number): Promise<bigint | undefined> {
    const offsets = await this.#options.log.offsets(this.#options.topic, Number.MAX_SAFE_INTEGER);
    return offsets[partition]?.end;
  }

  async #handle({ partition, records, signal }: RecordBatch): Promise<void> {
    const next = this.#next.get(partition);
    const end = this.#ends.get(partition);
    if (this.#over.signal.aborted || next === undefined || end === undefined || next >= end) return;
    this.#lastProgress = performance.now();
    this.#handling++;
    try {
      const inside = records.filter(({ offset }) => offset >= next && offset < end);
      if (inside.length > 0) await this.#options.onRecords(partition, inside, signal);
      const last = records.at(-1)?.offset ?? next;
      this.#next.set(partition, last + 1n > next ? last + 1n : next);
      if (this.#isComplete()) this.#end();
    } catch (error) {
      // Lost for now: the records come again. Anything else is for the caller.
      if (signal.aborted) throw error;
      this.#end({ reason: error });
    } finally {
      this.#handling--;
      this.#lastProgress = performance.now();
    }
  }

  #isComplete(): boolean {
    return [...this.#ends].every(([partition, end]) => (this.#next.get(partition) ?? 0n) >= end);
  }

  #end(failure?: { readonly reason: unknown }): void {
    if (this.#over.signal.aborted) return;
    this.#failure = failure;
    this.#over.abort();
  }

  #checkStall(): void {
    const timeoutMs = this.#options.stallTimeoutMs ?? STALL_TIMEOUT_MS;
    if (this.#handling > 0 || performance.now() - this.#lastProgress < timeoutMs) return;
    const waiting = [...this.#ends].filter(([partition, end]) => (this.#next.get(partition) ?? 0n) < end);
    const places = waiting.map(([partition]) => `partition ${partition} at ${this.#next.get(partition)}`);
    const what = `${this.#options.topic} has delivered nothing for ${timeoutMs / 1_000} s`;
    this.#end({ reason: new LogRangeStalledError(`${what}: ${places.join(', ')}`) });
  }
}

/** A partition whose records of a time are no longer kept. */
export interface ExpiredRange {
  readonly partition: number;
  /** The first offset that is kept. */
  readonly earliest: bigint;
}

/**
 * The partitions in which records from a log time on (ms since the epoch) may have been deleted: those that have lost
 * records, of which no older one is left, when the time lies beyond the topic's retention (ms) at `now`.
 */
export function expiredRanges(
  offsets: readonly PartitionOffsets[],
  logTime: number,
  retentionMs: number,
  now: number,
): ExpiredRange[] {
  if (logTime >= now - retentionMs) return [];
  return offsets.flatMap(({ earliest, atLogTime }, partition) =>
    earliest > 0n && atLogTime === earliest ? [{ partition, earliest }] : [],
  );
}
