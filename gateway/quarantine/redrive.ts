import type { LogRecord } from '../../event-log/event-log.ts';
import { partitionOf } from '../../event-log/partition.ts';
import {
  type QuarantineEvent,
  type QuarantineReason,
  UndecodableQuarantineEventError,
} from '../../event-log/quarantine-event.ts';
import { decodeQuarantineRecord, encodeRedriveMarker } from '../../event-log/quarantine-record.ts';
import type { UnusablePayload } from '../payload.ts';
import { QuarantineEventMissingError } from './errors.ts';
import type { EventId } from './event-id.ts';
import {
  type PartitionRange,
  type QuarantineTopic,
  rangesSince,
  readQuarantine,
  type StoredEvent,
  visitQuarantine,
} from './quarantine-topic.ts';
import { faultOf, judge, type RedriveRules, type UsableEvent } from './redrive-rules.ts';

/** Which events to redrive: those named, or every one (of a reason). */
export type RedriveSelection =
  | { readonly kind: 'ids'; readonly ids: readonly EventId[] }
  | { readonly kind: 'all'; readonly reason?: QuarantineReason };

export interface RedriveOptions {
  readonly topic: QuarantineTopic;
  readonly telemetryTopic: string;
  readonly rules: RedriveRules;
  readonly selection: RedriveSelection;
  /** Redrive again what was redriven before, even if it then counts twice. */
  readonly isForced: boolean;
  /** Ms since the epoch. */
  readonly clock: () => number;
}

/** What a redrive did, as far as it came. */
export interface RedriveReport {
  redriven: number;
  alreadyRedriven: number;
  /** Of `alreadyRedriven`, those that would count twice: a message of theirs has neither `seq` nor `ts`. */
  unrecognisable: number;
  /** Still unusable, and left as they are. */
  readonly unusable: Map<QuarantineReason, number>;
  /** The first of them. */
  readonly examples: { readonly id: EventId; readonly reason: QuarantineReason; readonly detail: string }[];
}

const MAX_EXAMPLES = 20;
/** Records of a partition that are on their way into the log at once. */
const RECORDS_AT_ONCE = 100;

/**
 * Puts quarantined payloads into the telemetry topic again, judged by the present rules, and leaves a marker behind
 * each event that it has redriven. First `survey`, then `run`. An event whose marker could not be written is redriven again
 * by the next run, which the fold recognises if its messages have `seq` or `ts`.
 *
 * Holds an offset for every redriven event that the topic keeps, some 50 bytes each.
 */
export class Redrive {
  readonly report: RedriveReport = {
    redriven: 0,
    alreadyRedriven: 0,
    unrecognisable: 0,
    unusable: new Map(),
    examples: [],
  };
  readonly #options: RedriveOptions;
  #ranges: readonly PartitionRange[] = [];
  /** Offsets of events with a marker. */
  readonly #markers = new OffsetSets();
  /** Offsets dealt with in a batch that has not succeeded yet, and may come again. */
  readonly #handled = new OffsetSets();

  constructor(options: RedriveOptions) {
    this.#options = options;
  }

  /** Finds out what was redriven before. Rejects with `QuarantineEventMissingError` when an id names no event. */
  async survey(): Promise<void> {
    const { topic, selection } = this.#options;
    const missing = selection.kind === 'ids' ? [...selection.ids] : [];
    this.#ranges = (await rangesSince(topic, 0)).filter(({ partition }) => concerns(selection, partition));
    await visitQuarantine(topic, this.#ranges, {
      event: ({ id }) => {
        const at = missing.findIndex((wanted) => isSame(wanted, id));
        if (at !== -1) missing.splice(at, 1);
      },
      redriven: (id) => this.#markers.add(id),
      unreadable: () => undefined,
    });
    if (missing.length > 0) throw new QuarantineEventMissingError(missing);
  }

  /** How many events `run` would take up, by reason. */
  async count(): Promise<ReadonlyMap<QuarantineReason, number>> {
    const found = new Map<QuarantineReason, number>();
    await visitQuarantine(this.#options.topic, this.#ranges, {
      event: ({ id, event: { reason } }) => {
        if (this.#isSelected(id, reason) && !this.#isLeftOut(id))
          found.set(reason, (found.get(reason) ?? 0) + 1);
      },
      redriven: () => undefined,
      unreadable: () => undefined,
    });
    return found;
  }

  /** Redrives the events that were there at the `survey`. Rejects with the log's errors; `report` then tells how far it came. */
  async run(): Promise<void> {
    await readQuarantine(this.#options.topic, this.#ranges, async (partition, records) => {
      for (let i = 0; i < records.length; i += RECORDS_AT_ONCE) {
        const together = records.slice(i, i + RECORDS_AT_ONCE);
        await allOf(together.map((record) => this.#redrive(partition, record)));
      }
      this.#handled.clear(partition);
    });
  }

  async #redrive(partition: number, { offset, logTime, key, value }: LogRecord): Promise<void> {
    const id = { partition, offset };
    const event = eventIn(value);
    if (event === undefined || !this.#isSelected(id, event.reason) || this.#handled.has(id)) return;
    if (this.#isLeftOut(id)) {
      this.report.alreadyRedriven++;
      this.#handled.add(id);
      return;
    }
    const { rules, clock, isForced } = this.#options;
    const stored = { id, logTime, deviceId: key.toString(), event };
    const judged = judge(stored, rules, clock());
    if (judged.kind === 'unusable') this.#leave(id, judged);
    else if (this.#markers.has(id) && !judged.isRecognisable && !isForced) this.#leaveUnrecognisable(id);
    else await this.#append(stored, judged);
  }

  async #append({ id, deviceId: key }: StoredEvent, { deviceId, value }: UsableEvent): Promise<void> {
    const { topic, telemetryTopic, clock } = this.#options;
    const { log } = topic;
    const partition = partitionOf(deviceId, log.partitions(telemetryTopic));
    try {
      const offset = await log.append(telemetryTopic, partition, deviceId, value);
      this.#handled.add(id);
      this.report.redriven++;
      const marker = encodeRedriveMarker({ offset: id.offset, at: clock(), record: { partition, offset } });
      await log.append(topic.name, id.partition, key, marker);
    } catch (error) {
      const fault = faultOf(error);
      if (fault === undefined) throw error;
      this.#leave(id, fault);
    }
  }

  #leave(id: EventId, { reason, detail }: UnusablePayload): void {
    const { unusable, examples } = this.report;
    this.#handled.add(id);
    unusable.set(reason, (unusable.get(reason) ?? 0) + 1);
    if (examples.length < MAX_EXAMPLES) examples.push({ id, reason, detail });
  }

  #leaveUnrecognisable(id: EventId): void {
    this.#handled.add(id);
    this.report.alreadyRedriven++;
    this.report.unrecognisable++;
  }

  #isSelected(id: EventId, reason: QuarantineReason): boolean {
    const { selection } = this.#options;
    if (selection.kind === 'ids') return selection.ids.some((wanted) => isSame(wanted, id));
    return selection.reason === undefined || selection.reason === reason;
  }

  /** Redriven before, and not asked for by name or force. */
  #isLeftOut(id: EventId): boolean {
    const { selection, isForced } = this.#options;
    return selection.kind === 'all' && !isForced && this.#markers.has(id);
  }
}

/** Offsets by partition. */
class OffsetSets {
  readonly #offsets = new Map<number, Set<bigint>>();

  add({ partition, offset }: EventId): void {
    const offsets = this.#offsets.get(partition) ?? new Set();
    this.#offsets.set(partition, offsets.add(offset));
  }

  has({ partition, offset }: EventId): boolean {
    return this.#offsets.get(partition)?.has(offset) ?? false;
  }

  clear(partition: number): void {
    this.#offsets.delete(partition);
  }
}

/** Undefined for a marker, and for what this version cannot read. */
function eventIn(value: Buffer): QuarantineEvent | undefined {
  try {
    const record = decodeQuarantineRecord(value);
    return record.kind === 'event' ? record.event : undefined;
  } catch (error) {
    if (error instanceof UndecodableQuarantineEventError) return undefined;
    throw error;
  }
}

function isSame(a: EventId, b: EventId): boolean {
  return a.partition === b.partition && a.offset === b.offset;
}

function concerns(selection: RedriveSelection, partition: number): boolean {
  return selection.kind === 'all' || selection.ids.some((id) => id.partition === partition);
}

/** Waits for all, then rejects with the first failure if there is any. */
async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  const settled = await Promise.allSettled(promises);
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
}
