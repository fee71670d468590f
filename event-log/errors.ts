/** Base of everything that an event log rejects with. */
export abstract class EventLogError extends Error {
  abstract readonly code: string;
  /** Whether the same call may succeed later without anything being changed. */
  abstract readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The log cannot be reached, or did not make a record durable before its deadline. */
export class EventLogUnavailableError extends EventLogError {
  readonly code = 'EVENT_LOG_UNAVAILABLE';
  readonly retryable = true;
}

/** More bytes are pending than the writer may hold; the caller has to slow down. */
export class EventLogFullError extends EventLogError {
  readonly code = 'EVENT_LOG_FULL';
  readonly retryable = true;
}

/** The log was closed while, or before, the call was made. */
export class EventLogClosedError extends EventLogError {
  readonly code = 'EVENT_LOG_CLOSED';
  readonly retryable = false;
}

/** The log was not opened with this topic. */
export class UnknownTopicError extends EventLogError {
  readonly code = 'EVENT_LOG_UNKNOWN_TOPIC';
  readonly retryable = false;
}

/** The topic has no such partition. */
export class UnknownPartitionError extends EventLogError {
  readonly code = 'EVENT_LOG_UNKNOWN_PARTITION';
  readonly retryable = false;
}

/** The record is larger than the log takes. */
export class RecordTooLargeError extends EventLogError {
  readonly code = 'EVENT_LOG_RECORD_TOO_LARGE';
  readonly retryable = false;
}

/** Another consumer of the group is active and this adapter's groups have one member. */
export class GroupBusyError extends EventLogError {
  readonly code = 'EVENT_LOG_GROUP_BUSY';
  readonly retryable = true;
}

/** Retention removed records that a consumer group had not read; reading continues behind them. */
export class RecordsExpiredError extends EventLogError {
  readonly code = 'EVENT_LOG_RECORDS_EXPIRED';
  readonly retryable = false;

  constructor(topic: string, partition: number, from: bigint, to: bigint) {
    super(`retention removed offsets ${from} to ${to - 1n} of ${topic}/${partition} before they were read`);
  }
}

/** A consumer was to start behind the end of a partition, which has lost records or is another one; it starts at the end. */
export class OffsetBeyondEndError extends EventLogError {
  readonly code = 'EVENT_LOG_OFFSET_BEYOND_END';
  readonly retryable = false;

  constructor(topic: string, partition: number, offset: bigint, end: bigint) {
    super(`${topic}/${partition} ends at offset ${end}, before ${offset} where reading was to start`);
  }
}

/** The folder belongs to another live process, or holds something that this version cannot read. */
export class EventLogFolderError extends EventLogError {
  readonly code = 'EVENT_LOG_FOLDER';
  readonly retryable = false;
}

/** The log and its configuration disagree (partition count, topic settings). */
export class TopicMismatchError extends EventLogError {
  readonly code = 'EVENT_LOG_TOPIC_MISMATCH';
  readonly retryable = false;
}
