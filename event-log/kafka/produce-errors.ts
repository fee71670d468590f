import {
  EventLogError,
  EventLogUnavailableError,
  RecordTooLargeError,
  UnknownTopicError,
} from '../errors.ts';

/** The brokers refuse these records for a reason that does not pass by itself (authorization, policy, format). */
export class RecordsRefusedError extends EventLogError {
  readonly code = 'EVENT_LOG_RECORDS_REFUSED';
  readonly retryable = false;
}

export const MESSAGE_TOO_LARGE = 10;

const REFUSALS: ReadonlyMap<number, string> = new Map([
  [18, 'RECORD_LIST_TOO_LARGE'],
  [29, 'TOPIC_AUTHORIZATION_FAILED'],
  [31, 'CLUSTER_AUTHORIZATION_FAILED'],
  [32, 'INVALID_TIMESTAMP'],
  [35, 'UNSUPPORTED_VERSION'],
  [42, 'INVALID_REQUEST'],
  [43, 'UNSUPPORTED_FOR_MESSAGE_FORMAT'],
  [44, 'POLICY_VIOLATION'],
  [87, 'INVALID_RECORD'],
]);

/** The partition is elsewhere than the metadata says: ask again before the retry. */
const STALE_METADATA: ReadonlyMap<number, string> = new Map([
  [3, 'UNKNOWN_TOPIC_OR_PARTITION'],
  [5, 'LEADER_NOT_AVAILABLE'],
  [6, 'NOT_LEADER_OR_FOLLOWER'],
  [74, 'FENCED_LEADER_EPOCH'],
  [75, 'UNKNOWN_LEADER_EPOCH'],
  [100, 'UNKNOWN_TOPIC_ID'],
]);

const OTHERS: ReadonlyMap<number, string> = new Map([
  [-1, 'UNKNOWN_SERVER_ERROR'],
  [2, 'CORRUPT_MESSAGE'],
  [7, 'REQUEST_TIMED_OUT'],
  [13, 'NETWORK_EXCEPTION'],
  [19, 'NOT_ENOUGH_REPLICAS'],
  [20, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'],
  [56, 'KAFKA_STORAGE_ERROR'],
  [89, 'THROTTLING_QUOTA_EXCEEDED'],
]);

/** Whether the leaders of partitions have to be looked up again after this error code. */
export function isStaleMetadata(errorCode: number): boolean {
  return STALE_METADATA.has(errorCode);
}

/** What a broker's error code for one partition means for the records sent to it. */
export function produceError(topic: string, partition: number, errorCode: number): EventLogError {
  const where = `topic ${topic} partition ${partition}`;
  if (errorCode === MESSAGE_TOO_LARGE) {
    return new RecordTooLargeError(`${where}: the brokers do not take a record of this size`);
  }
  if (errorCode === 17) return new UnknownTopicError(`${topic} is not a valid topic name`);
  const refusal = REFUSALS.get(errorCode);
  if (refusal !== undefined) return new RecordsRefusedError(`${where}: ${refusal}`);
  const name = STALE_METADATA.get(errorCode) ?? OTHERS.get(errorCode) ?? `error code ${errorCode}`;
  return new EventLogUnavailableError(`${where}: ${name}`);
}
