import { EventLogUnavailableError } from '../errors.ts';
import type { PartitionOffsets } from '../event-log.ts';
import type { ControlConnection } from './control-connection.ts';
import { REQUEST_TIMEOUT_MS } from './deadline.ts';

/** Where a partition begins and ends. */
export type PartitionBounds = Pick<PartitionOffsets, 'earliest' | 'end'>;

interface OffsetOfPartition {
  readonly partition: number;
  readonly offset: string;
}

const DEADLINE_MS = 2 * REQUEST_TIMEOUT_MS;

/** By partition. Rejects with an `EventLogError` after 14 s. */
export async function readBounds(
  control: ControlConnection,
  topic: string,
  partitions: number,
): Promise<PartitionBounds[]> {
  const found = await control.run('reading offsets', DEADLINE_MS, (admin) => admin.fetchTopicOffsets(topic));
  return Array.from({ length: partitions }, (_, partition) => {
    const { low, high } = ofPartition(found, topic, partition);
    return { earliest: BigInt(low), end: BigInt(high) };
  });
}

/** By partition, with the first offset whose log time is not before `logTime`. Rejects with an `EventLogError`. */
export async function readOffsets(
  control: ControlConnection,
  topic: string,
  partitions: number,
  logTime: number,
): Promise<PartitionOffsets[]> {
  // The bounds first: what is appended in between is beyond the end that is told.
  const bounds = await readBounds(control, topic, partitions);
  const timestamp = wholeMs(logTime);
  const found = await control.run('reading offsets by time', DEADLINE_MS, (admin) =>
    admin.fetchTopicOffsetsByTimestamp(topic, timestamp),
  );
  return bounds.map(({ earliest, end }, partition) => {
    const atLogTime = BigInt(ofPartition(found, topic, partition).offset);
    return { earliest, end, atLogTime: atLogTime < end ? atLogTime : end };
  });
}

/** Brokers take negative times for something else, and none beyond 64 bits. */
function wholeMs(logTime: number): number {
  return Math.min(Math.max(0, Math.ceil(logTime)), Number.MAX_SAFE_INTEGER);
}

function ofPartition<T extends OffsetOfPartition>(found: readonly T[], topic: string, partition: number): T {
  const offsets = found.find((each) => each.partition === partition);
  if (offsets !== undefined) return offsets;
  throw new EventLogUnavailableError(`topic ${topic} partition ${partition}: no offsets are known`);
}
