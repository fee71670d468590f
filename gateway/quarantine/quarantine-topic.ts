import type { EventLog, LogRecord } from '../../event-log/event-log.ts';
import { type QuarantineEvent, UndecodableQuarantineEventError } from '../../event-log/quarantine-event.ts';
import { decodeQuarantineRecord, type RedriveMarker } from '../../event-log/quarantine-record.ts';
import type { EventId } from './event-id.ts';

/** Part of one partition: the offsets from `from` up to, and without, `to`. */
export interface PartitionRange {
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Reads ranges of a topic once, at most one for each partition, and leaves no trace. Resolves when every range was handled;
 * a rejection of `onRecords` ends it, unless the partition's `signal` is aborted: then the same records come again.
 */
export type RangeReader = (options: {
  readonly log: EventLog;
  readonly topic: string;
  readonly purpose: string;
  readonly ranges: readonly PartitionRange[];
  readonly onRecords: (
    partition: number,
    records: readonly LogRecord[],
    signal: AbortSignal,
  ) => Promise<void> | void;
  readonly onFailure: (error: Error) => void;
  readonly signal: AbortSignal;
}) => Promise<void>;

/** Where quarantined events are, and how to read them. */
export interface QuarantineTopic {
  readonly log: EventLog;
  readonly name: string;
  readonly readRanges: RangeReader;
  /** Reading failed and goes on by itself. */
  readonly onFailure: (error: Error) => void;
  /** Ends a reading early. */
  readonly signal: AbortSignal;
}

/** A quarantined event with its place in the topic. */
export interface StoredEvent {
  readonly id: EventId;
  /** When it was quarantined, ms since the epoch. */
  readonly logTime: number;
  /** The device; where the MQTT topic names none, the client. */
  readonly deviceId: string;
  readonly event: QuarantineEvent;
}

/** Called in the order of each partition; partitions come in any order. */
export interface QuarantineVisitor {
  event(event: StoredEvent): void;
  redriven(id: EventId, marker: RedriveMarker): void;
  /** A record that this version cannot read. */
  unreadable(id: EventId, error: UndecodableQuarantineEventError): void;
}

/** Reads parts of the topic. */
export async function visitQuarantine(
  topic: QuarantineTopic,
  ranges: readonly PartitionRange[],
  visitor: QuarantineVisitor,
): Promise<void> {
  await readQuarantine(topic, ranges, (partition, records) => {
    for (const record of records) visit(partition, record, visitor);
  });
}

/** Hands out the records of parts of the topic. */
export async function readQuarantine(
  { log, name, readRanges, onFailure, signal }: QuarantineTopic,
  ranges: readonly PartitionRange[],
  onRecords: (partition: number, records: readonly LogRecord[]) => Promise<void> | void,
): Promise<void> {
  const filled = ranges.filter(({ from, to }) => from < to);
  await readRanges({ log, topic: name, purpose: 'quarantine', ranges: filled, onRecords, onFailure, signal });
}

/** What the topic holds from a log time on, ms since the epoch. */
export async function rangesSince(
  { log, name }: QuarantineTopic,
  logTime: number,
): Promise<PartitionRange[]> {
  const offsets = await log.offsets(name, logTime);
  return offsets.map(({ atLogTime, end }, partition) => ({ partition, from: atLogTime, to: end }));
}

function visit(
  partition: number,
  { offset, logTime, key, value }: LogRecord,
  visitor: QuarantineVisitor,
): void {
  const id = { partition, offset };
  try {
    const record = decodeQuarantineRecord(value);
    if (record.kind === 'event')
      visitor.event({ id, logTime, deviceId: key.toString(), event: record.event });
    else visitor.redriven({ partition, offset: record.marker.offset }, record.marker);
  } catch (error) {
    if (!(error instanceof UndecodableQuarantineEventError)) throw error;
    visitor.unreadable(id, error);
  }
}
