import { EventLogClosedError, EventLogError, EventLogFullError, EventLogUnavailableError } from './errors.ts';

/** One record on its way into the log. */
export interface PendingAppend {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly value: Buffer;
}

/** What became of one record of a commit: its offset, or why it is not known to be durable. */
export type AppendOutcome = bigint | EventLogError;

export interface GroupCommitOptions {
  /**
   * Makes a batch durable and reports one outcome per record, by index. All records of one partition must share
   * their fate, else a retry would reorder. A rejection counts as a retryable failure of the whole batch.
   */
  readonly commit: (batch: readonly PendingAppend[]) => Promise<readonly AppendOutcome[]>;
  readonly maxBatchRecords: number;
  readonly maxBatchBytes: number;
  /** More than this pending: appends are refused with `EventLogFullError`. */
  readonly maxPendingBytes: number;
  /** An append that is not durable after this long is rejected with `EventLogUnavailableError`. */
  readonly appendTimeoutMs: number;
}

interface Entry extends PendingAppend {
  readonly deadline: number;
  settled: boolean;
  readonly resolve: (offset: bigint) => void;
  readonly reject: (error: EventLogError) => void;
}

const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 1_000;
const RECORD_OVERHEAD_BYTES = 64;

/**
 * Groups appends into commits: whatever arrives while one commit is in flight forms the next. One commit is in
 * flight at a time and a failed one is retried before anything newer is sent, so order is kept. Retries end at
 * each record's deadline.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #pending: Entry[] = [];
  #pendingBytes = 0;
  #flushing: Promise<void> | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #inFlight: Entry[] = [];
  /** Why the commit that is being retried failed; the cause of missed deadlines. */
  #lastFailure: EventLogError | undefined;
  #closed = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Bytes accepted and not yet settled. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint> {
    if (this.#closed) return Promise.reject(new EventLogClosedError('the event log is closed'));
    const bytes = sizeOf(key, value);
    if (this.#pendingBytes + bytes > this.#options.maxPendingBytes) {
      return Promise.reject(
        new EventLogFullError(
          `${this.#pendingBytes} bytes are waiting to be appended; the bound is ${this.#options.maxPendingBytes}`,
        ),
      );
    }
    this.#pendingBytes += bytes;
    const appended = new Promise<bigint>((resolve, reject) => {
      const deadline = performance.now() + this.#options.appendTimeoutMs;
      this.#pending.push({ topic, partition, key, value, deadline, settled: false, resolve, reject });
    });
    this.#flushing ??= this.#flush();
    return appended;
  }

  /** Refuses new appends and waits until every pending one is durable or past its deadline. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    // Appends made in the same turn of the event loop share the first commit.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#expiry = setInterval(() => this.#expire(), Math.min(250, this.#options.appendTimeoutMs));
    while (this.#pending.length > 0) {
      this.#inFlight = this.#takeBatch();
      await this.#commitWithRetry();
    }
    clearInterval(this.#expiry);
    this.#flushing = undefined;
  }

  #takeBatch(): Entry[] {
    const { maxBatchRecords, maxBatchBytes } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const entry of this.#pending) {
      bytes += sizeOf(entry.key, entry.value);
      if (count > 0 && (count === maxBatchRecords || bytes > maxBatchBytes)) break;
      count++;
    }
    if (count === this.#pending.length) {
      const batch = this.#pending;
      this.#pending = [];
      return batch;
    }
    return this.#pending.splice(0, count);
  }

  async #commitWithRetry(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    for (;;) {
      this.#inFlight = this.#inFlight.filter((entry) => !entry.settled);
      if (this.#inFlight.length === 0) return;
      const outcomes = await this.#attempt(this.#inFlight);
      this.#lastFailure = outcomes.find((outcome) => outcome instanceof EventLogError);
      this.#inFlight = this.#inFlight.filter((entry, index) => !this.#settleFinal(entry, outcomes[index]));
      if (this.#inFlight.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, retryMs));
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    }
  }

  async #attempt(batch: readonly Entry[]): Promise<readonly AppendOutcome[]> {
    try {
      return await this.#options.commit(batch);
    } catch (cause) {
      const error =
        cause instanceof EventLogError ? cause : new EventLogUnavailableError('append failed', { cause });
      return batch.map(() => error);
    }
  }

  /** Settles an entry unless its outcome is a retryable failure; tells whether it is settled. */
  #settleFinal(entry: Entry, outcome: AppendOutcome | undefined): boolean {
    if (entry.settled) return true;
    if (typeof outcome === 'bigint') this.#settle(entry, outcome);
    else if (outcome !== undefined && !outcome.retryable) this.#settle(entry, outcome);
    return entry.settled;
  }

  #expire(): void {
    const now = performance.now();
    const late = (entry: Entry) => !entry.settled && entry.deadline <= now;
    for (const entry of this.#inFlight) if (late(entry)) this.#settle(entry, this.#tooLate());
    let expired = 0;
    for (const entry of this.#pending) {
      if (!late(entry)) break;
      this.#settle(entry, this.#tooLate());
      expired++;
    }
    if (expired > 0) this.#pending.splice(0, expired);
  }

  #tooLate(): EventLogUnavailableError {
    const reason = this.#lastFailure === undefined ? '' : `: ${this.#lastFailure.message}`;
    return new EventLogUnavailableError(`not durable within ${this.#options.appendTimeoutMs} ms${reason}`, {
      cause: this.#lastFailure,
    });
  }

  #settle(entry: Entry, outcome: AppendOutcome): void {
    entry.settled = true;
    this.#pendingBytes -= sizeOf(entry.key, entry.value);
    if (typeof outcome === 'bigint') entry.resolve(outcome);
    else entry.reject(outcome);
  }
}

function sizeOf(key: string, value: Buffer): number {
  return key.length + value.length + RECORD_OVERHEAD_BYTES;
}
