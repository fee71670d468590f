import type { Batch, EachBatchPayload } from 'kafkajs';
import type { Commit, ConsumeOptions, LogRecord } from '../event-log.ts';
import type { OwnedPartition } from './assignment.ts';
import { pause, REQUEST_TIMEOUT_MS, withDeadline } from './deadline.ts';
import { fetchedFrom, isStaleBatch } from './kafkajs-patches.ts';
import { visitRecords } from './packed-records.ts';

export interface BatchDelivery {
  readonly payload: EachBatchPayload;
  readonly owned: OwnedPartition;
  readonly onBatch: ConsumeOptions['onBatch'];
  readonly onError: (error: unknown) => void;
  /** Whether the partition was lost since the batch was fetched: nothing may be committed any more. */
  readonly isLost: () => boolean;
  /** The group has told, by this error, that the partition is lost. */
  readonly onLost: (error: unknown) => void;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
const COMMIT_DEADLINE_MS = 2 * REQUEST_TIMEOUT_MS;
const COMMIT_ATTEMPTS_ON_CLOSE = 3;
const NOTHING = Buffer.alloc(0);

const MEMBERSHIP_ERRORS: ReadonlySet<unknown> = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'NOT_COORDINATOR_FOR_GROUP',
]);

/** Whether kafkajs reacts to this error by joining the group again. */
export function isMembershipError(error: unknown): boolean {
  return error instanceof Error && MEMBERSHIP_ERRORS.has(Reflect.get(error, 'type'));
}

/** Whether the group waits for its members to join again, this one among them. */
export function isRebalancing(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, 'type') === 'REBALANCE_IN_PROGRESS';
}

/**
 * Hands one fetched batch to the handler until it succeeds, stores what the handler returned, and moves the
 * position. Retries stay in here: an error thrown into kafkajs makes it fetch again, or stop for good when it is
 * a TypeError, RangeError or SyntaxError. Never rejects.
 */
export async function deliverBatch(delivery: BatchDelivery): Promise<void> {
  const { payload, isLost } = delivery;
  const handled = await untilHandled(delivery);
  if (handled === undefined || isLost() || isStaleBatch(payload.batch)) return;
  if (handled.commit !== undefined && !(await store(delivery, handled.commit))) return;
  if (isLost() || isStaleBatch(payload.batch)) return;
  payload.resolveOffset(payload.batch.lastOffset());
}

async function untilHandled(delivery: BatchDelivery): Promise<{ commit: Commit | undefined } | undefined> {
  const { owned, payload, onBatch, onError } = delivery;
  const { signal, partition } = owned;
  const records = recordsOf(payload.batch, owned);
  if (records.length === 0) return { commit: undefined };
  const endOffset = BigInt(payload.batch.highWatermark);
  let retryMs = FIRST_RETRY_MS;
  for (;;) {
    try {
      return { commit: await onBatch({ partition, records, endOffset, signal }) };
    } catch (error) {
      if (signal.aborted) return undefined;
      onError(error);
      await pause(retryMs, signal);
      if (signal.aborted) return undefined;
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
  }
}

/** A fetch begins with the record batch that holds the offset asked for, whose first records may lie before it. */
function recordsOf(batch: Batch, owned: OwnedPartition): LogRecord[] {
  const records: LogRecord[] = [];
  const from = fetchedFrom(batch);
  for (const message of batch.messages) {
    visitRecords(message, (offset, timestamp, key, value) => {
      if (offset < from) return;
      const logTime = owned.advanceLogTime(timestamp);
      records.push({ offset, logTime, key: key ?? NOTHING, value: value ?? NOTHING });
    });
  }
  return records;
}

/** Stores a commit; false when the partition is lost, or the consumer closes and the brokers do not answer. */
async function store(delivery: BatchDelivery, commit: Commit): Promise<boolean> {
  const { payload, owned, onError, onLost, isLost } = delivery;
  let retryMs = FIRST_RETRY_MS;
  let attemptsOnClose = 0;
  // A commit for a stale batch would carry the new generation's name: checked in the same turn as the call.
  while (!isLost() && !isStaleBatch(payload.batch)) {
    try {
      // The handler's own function, because `consumer.commitOffsets` does nothing once stopping has begun.
      await withDeadline(
        payload.commitOffsetsIfNecessary(position(payload.batch, commit)),
        COMMIT_DEADLINE_MS,
        'a commit',
      );
      return true;
    } catch (error) {
      if (isMembershipError(error)) onLost(error);
      else onError(error);
    }
    if (owned.signal.aborted && ++attemptsOnClose === COMMIT_ATTEMPTS_ON_CLOSE) return false;
    await pause(retryMs, owned.signal.aborted ? undefined : owned.signal);
    retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
  }
  return false;
}

function position(batch: Batch, commit: Commit) {
  const { partition, topic } = batch;
  const partitions = [{ partition, offset: commit.offset.toString(), metadata: commit.metadata }];
  return { topics: [{ topic, partitions }] };
}
