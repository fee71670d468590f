import { EventLogClosedError, EventLogError, EventLogFullError, EventLogUnavailableError } from './errors.ts';
import { StalledPartitions } from './stalled-partitions.ts';

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
  /** Why it was not durable when it was last sent. */
  failure: EventLogError | undefined;
  readonly resolve: (offset: bigint) => void;
  readonly reject: (error: EventLogError) => void;
}

const RECORD_OVERHEAD_BYTES = 64;

/**
 * Groups appends into commits: whatever arrives while one commit is in flight forms the next. One commit is in
 * flight at a time, and what failed is retried before anything newer of its partition is sent, so each partition's
 * order is kept; the others go on meanwhile. Retries end at each record's deadline.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #pending: Entry[] = [];
  #pendingBytes = 0;
  #flushing: Promise<void> | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #inFlight: Entry[] = [];
  readonly #stalled = new StalledPartitions<Entry>();
  /** The latest failure while partitions are stalled: why those missed their deadline that were never sent. */
  #lastFailure: EventLogError | undefined;
  #wake: () => void = () => {};
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
      this.#pending.push({
        topic,
        partition,
        key,
        value,
        deadline,
        settled: false,
        failure: undefined,
        resolve,
        reject,
      });
    });
    this.#wake();
    this.#flushing ??= this.#flush();
    return appended;
  }

  /** Refuses new appends and waits until every pending one is durable or past its deadline. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    await nextTurn();
    this.#expiry = setInterval(() => this.#expire(), Math.min(250, this.#options.appendTimeoutMs));
    while (this.#pending.length > 0 || this.#stalled.size > 0) {
      this.#inFlight = this.#takeBatch();
      if (this.#inFlight.length > 0) await this.#commit();
      else if (this.#stalled.size > 0) await this.#retryOrAppend();
      if (this.#stalled.size > 0) this.#release();
    }
    clearInterval(this.#expiry);
    this.#flushing = undefined;
  }

  /** Records to send: those whose retry is due, then new ones of partitions that are not stalled. */
  #takeBatch(): Entry[] {
    const isStalled = this.#stalled.size > 0;
    const batch = isStalled
      ? this.#stalled.takeDue(performance.now(), (entries) => this.#fits(entries.length, bytesOf(entries)))
      : [];
    let bytes = bytesOf(batch);
    let count = 0;
    for (const entry of this.#pending) {
      if (!isStalled || !this.#stalled.hold(entry)) {
        bytes += sizeOf(entry.key, entry.value);
        if (batch.length > 0 && !this.#fits(batch.length + 1, bytes)) break;
        batch.push(entry);
      }
      count++;
    }
    if (count === this.#pending.length) this.#pending = [];
    else this.#pending.splice(0, count);
    return batch;
  }

  #fits(records: number, bytes: number): boolean {
    return records <= this.#options.maxBatchRecords && bytes <= this.#options.maxBatchBytes;
  }

  async #commit(): Promise<void> {
    const outcomes = await this.#attempt(this.#inFlight);
    const failed = this.#inFlight.filter((entry, index) => !this.#settleFinal(entry, outcomes[index]));
    this.#inFlight = [];
    if (failed.length === 0) return;
    this.#lastFailure = failed.find(({ failure }) => failure !== undefined)?.failure;
    this.#stalled.stall(failed, performance.now());
  }

  /** Waits until a stalled partition may be tried again, or for an append, which may be to another. */
  async #retryOrAppend(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, this.#stalled.nextRetryAt - performance.now()));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
    await nextTurn();
  }

  #release(): void {
    const released = this.#stalled.release();
    // Both are in the order of their calls, and have to stay so.
    if (released.length > 0) this.#pending = [...released, ...this.#pending].sort(byDeadline);
    if (this.#stalled.size === 0) this.#lastFailure = undefined;
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
    if (outcome instanceof EventLogError && outcome.retryable) entry.failure = outcome;
    else if (outcome !== undefined) this.#settle(entry, outcome);
    return entry.settled;
  }

  #expire(): void {
    const now = performance.now();
    const late = (entry: Entry) => !entry.settled && entry.deadline <= now;
    for (const entry of this.#inFlight) if (late(entry)) this.#settle(entry, this.#tooLate(entry));
    for (const entry of this.#stalled) if (late(entry)) this.#settle(entry, this.#tooLate(entry));
    this.#stalled.prune();
    let expired = 0;
    for (const entry of this.#pending) {
      if (!late(entry)) break;
      this.#settle(entry, this.#tooLate(entry));
      expired++;
    }
    if (expired > 0) this.#pending.splice(0, expired);
  }

  #tooLate(entry: Entry): EventLogUnavailableError {
    const cause = entry.failure ?? this.#lastFailure;
    const reason = cause === undefined ? '' : `: ${cause.message}`;
    return new EventLogUnavailableError(`not durable within ${this.#options.appendTimeoutMs} ms${reason}`, {
      cause,
    });
  }

  #settle(entry: Entry, outcome: AppendOutcome): void {
    entry.settled = true;
    this.#pendingBytes -= sizeOf(entry.key, entry.value);
    if (typeof outcome === 'bigint') entry.resolve(outcome);
    else entry.reject(outcome);
  }
}

/** Appends made in the same turn of the event loop share a commit. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function byDeadline(a: Entry, b: Entry): number {
  return a.deadline - b.deadline;
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { key, value }) => sum + sizeOf(key, value), 0);
}

function sizeOf(key: string, value: Buffer): number {
  return key.length + value.length + RECORD_OVERHEAD_BYTES;
}
