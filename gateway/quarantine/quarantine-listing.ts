import type { QuarantineReason } from '../../event-log/quarantine-event.ts';
import type { RedriveMarker } from '../../event-log/quarantine-record.ts';
import { QuarantineEventMissingError } from './errors.ts';
import type { EventId } from './event-id.ts';
import { type QuarantineTopic, rangesSince, type StoredEvent, visitQuarantine } from './quarantine-topic.ts';

/** A quarantined event, and whether it was redriven. */
export interface ListedEvent extends StoredEvent {
  /** The latest marker; undefined while the event is open. */
  readonly redriven: RedriveMarker | undefined;
}

export interface ListingFilter {
  /** Events quarantined at or after this, ms since the epoch. */
  readonly since: number;
  readonly reason?: QuarantineReason;
  readonly deviceId?: string;
  /** Most events to list, the newest. */
  readonly limit: number;
}

export interface Listing {
  /** In order of their time. */
  readonly events: readonly ListedEvent[];
  /** Events that match the filter, listed or not. */
  readonly matching: number;
  /** Records that this version cannot read. */
  readonly unreadable: number;
}

/** Lists the newest events that match. Holds `limit` events of each partition. */
export async function listQuarantine(topic: QuarantineTopic, filter: ListingFilter): Promise<Listing> {
  const newest = new Map<number, Map<bigint, ListedEvent>>();
  let matching = 0;
  let unreadable = 0;
  await visitQuarantine(topic, await rangesSince(topic, filter.since), {
    event: (stored) => {
      if (stored.logTime < filter.since || !matches(stored, filter)) return;
      matching++;
      const { partition, offset } = stored.id;
      const kept = newest.get(partition) ?? new Map<bigint, ListedEvent>();
      newest.set(partition, kept.set(offset, { ...stored, redriven: undefined }));
      const [oldest] = kept.keys();
      if (kept.size > filter.limit && oldest !== undefined) kept.delete(oldest);
    },
    redriven: ({ partition, offset }, marker) => {
      const kept = newest.get(partition);
      const event = kept?.get(offset);
      if (event !== undefined) kept?.set(offset, { ...event, redriven: marker });
    },
    unreadable: () => {
      unreadable++;
    },
  });
  const events = [...newest.values()].flatMap((kept) => [...kept.values()]).sort(compareEvents);
  return { events: events.slice(-filter.limit), matching, unreadable };
}

/** The event with this id. Rejects with `QuarantineEventMissingError`, or with why its record cannot be read. */
export async function findQuarantined(topic: QuarantineTopic, id: EventId): Promise<ListedEvent> {
  const offsets = (await topic.log.offsets(topic.name, 0))[id.partition];
  if (offsets === undefined || id.offset < offsets.earliest || id.offset >= offsets.end) {
    throw new QuarantineEventMissingError([id]);
  }
  let found: StoredEvent | undefined;
  let redriven: RedriveMarker | undefined;
  let cause: Error | undefined;
  await visitQuarantine(topic, [{ partition: id.partition, from: id.offset, to: offsets.end }], {
    event: (stored) => {
      if (stored.id.offset === id.offset) found = stored;
    },
    redriven: (of, marker) => {
      if (of.offset === id.offset) redriven = marker;
    },
    unreadable: (at, error) => {
      if (at.offset === id.offset) cause = error;
    },
  });
  if (cause !== undefined) throw cause;
  if (found === undefined) throw new QuarantineEventMissingError([id]);
  return { ...found, redriven };
}

function matches({ event, deviceId }: StoredEvent, filter: ListingFilter): boolean {
  if (filter.reason !== undefined && event.reason !== filter.reason) return false;
  return filter.deviceId === undefined || deviceId === filter.deviceId;
}

function compareEvents(a: ListedEvent, b: ListedEvent): number {
  if (a.logTime !== b.logTime) return a.logTime - b.logTime;
  if (a.id.partition !== b.id.partition) return a.id.partition - b.id.partition;
  return a.id.offset < b.id.offset ? -1 : 1;
}
