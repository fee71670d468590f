/**
 * PORT 1: the durable, partitioned, append-only log between the gateway and the processors.
 *
 * Promises that every adapter keeps, held by `event-log.contract.ts`:
 *
 * - **Durability.** When the promise of {@link EventLog.append} resolves, the record survives a crash of any
 *   process. When it rejects with a retryable error, the record may or may not be in the log.
 * - **Order.** Records of one partition are read in the order in which `append` was called by one process.
 *   Retries inside an adapter neither lose nor reorder.
 * - **Log time.** Each record carries the time of its append, set by the log, which never runs backwards
 *   within a partition.
 * - **Errors** are `EventLogError`s; their `retryable` tells whether the same call may succeed later.
 */
export interface EventLog {
  /** Number of partitions of a topic. Throws `UnknownTopicError` for a topic that the log was not opened with. */
  partitions(topic: string): number;

  /**
   * Appends one record; resolves with its offset once it is durable. Calls are grouped into commits by the
   * adapter. The value must not be changed until the promise settles. Rejects with `UnknownTopicError`,
   * `UnknownPartitionError`, `RecordTooLargeError`, `EventLogFullError` (too much is pending: slow down),
   * `EventLogUnavailableError` (not durable within the append deadline) or `EventLogClosedError`.
   */
  append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint>;

  /** Joins a consumer group on a topic and delivers batches until the consumer is closed. */
  consume(options: ConsumeOptions): Promise<Consumer>;

  /**
   * Where each partition of a topic begins and ends now, by partition, and the first offset whose log time is not
   * before `logTime` (ms since the epoch; the end when there is none). Rejects with `UnknownTopicError`,
   * `EventLogUnavailableError` or `EventLogClosedError`.
   */
  offsets(topic: string, logTime: number): Promise<readonly PartitionOffsets[]>;

  /**
   * Keeps a checkpoint of a group's partition, at most 32 MiB; resolves once it is durable. The two newest of each
   * group and partition are kept at least. Calls for one group and partition must not overlap, and the bytes must not
   * be changed until the promise settles. Rejects with `RecordTooLargeError`, `UnknownPartitionError`,
   * `EventLogFullError`, `EventLogUnavailableError` (it may be kept all the same) or `EventLogClosedError`.
   */
  saveCheckpoint(group: string, partition: number, checkpoint: Uint8Array): Promise<void>;

  /**
   * The checkpoints kept for a group's partition, newest first: all that were saved before, by whichever process.
   * Damaged ones too: the caller tells. Rejects with `UnknownPartitionError`, `EventLogUnavailableError` (within 10 s or
   * so) or `EventLogClosedError`.
   */
  loadCheckpoints(group: string, partition: number): Promise<readonly Buffer[]>;

  /** Resolves when the log answers, rejects with an `EventLogError` within a few seconds when it does not. */
  ping(): Promise<void>;

  /** Makes pending appends durable (or rejects them at their deadline), closes its consumers, frees everything. */
  close(): Promise<void>;
}

/** One record as it is read. `key` and `value` are lent until the batch's handler settles: copy to keep. */
export interface LogRecord {
  readonly offset: bigint;
  /** When the log appended it, ms since the epoch. Never runs backwards within a partition. */
  readonly logTime: number;
  readonly key: Buffer;
  readonly value: Buffer;
}

/** Consecutive records of one partition, at least one, in offset order (offsets may have gaps). */
export interface RecordBatch {
  readonly partition: number;
  readonly records: readonly LogRecord[];
  /** The offset that the next record appended to the partition would get, as known when this was fetched. */
  readonly endOffset: bigint;
  /**
   * Aborts when the partition is being taken away or the consumer is closing. A handler that waits or retries
   * must then reject soon; whatever it returns afterwards is not committed.
   */
  readonly signal: AbortSignal;
}

/** A consumer group's position in one partition. */
export interface Commit {
  /** The first offset that has not been dealt with: reading resumes here. */
  readonly offset: bigint;
  /** Opaque to the log, at most 1 KiB, stored with the offset and handed back on assignment. */
  readonly metadata: string;
}

/** Offsets of one partition at one instant. */
export interface PartitionOffsets {
  /** The first offset that is still kept. */
  readonly earliest: bigint;
  /** The offset that the next record would get. */
  readonly end: bigint;
  /** The first offset whose log time is not before the time asked for. */
  readonly atLogTime: bigint;
}

export interface ConsumeOptions {
  readonly topic: string;
  readonly group: string;
  /** The group is of this consumer alone and forgotten when it closes: for reading a range once. */
  readonly isEphemeral?: boolean;
  /**
   * A partition is now owned. Called before its first batch; `committed` is undefined when the group has no position.
   * Reading starts at the returned offset, else at the committed one, else at the earliest. Where the partition does
   * not have the returned offset, the nearest that it has is taken instead, and `onError` is told
   * (`RecordsExpiredError`, `OffsetBeyondEndError`). Called again, after a pause, when it rejects.
   */
  onAssigned(
    partition: number,
    committed: Commit | undefined,
  ): bigint | undefined | Promise<bigint | undefined>;
  /** A partition is no longer owned: forget what is held for it. Not called for partitions still owned at close. */
  onRevoked(partition: number): void;
  /**
   * Handles one batch; never called twice at once for a partition, but partitions run concurrently. A returned
   * commit is stored durably before the partition's next batch, unless the partition was lost meanwhile.
   * A rejection makes the consumer deliver the same batch again after a pause.
   */
  onBatch(batch: RecordBatch): Promise<Commit | undefined>;
  /** Something went wrong that the consumer recovers from by itself; for logs and counters. */
  onError(error: Error): void;
}

export interface Consumer {
  /** Aborts the handlers' signals, waits for them, stores what they returned, leaves the group. Idempotent. */
  close(): Promise<void>;
}
