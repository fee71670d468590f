import type { LogRecord } from '../../event-log/event-log.ts';
import { partitionOf } from '../../event-log/partition.ts';
import type { QuarantineReason } from '../../event-log/quarantine-event.ts';
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

/** What a redrive found and, as far as it came, did. */
export interface RedriveReport {
  redriven: number;
  alreadyRedriven: number;
  /** Of `alreadyRedriven`, those that would count twice: a message of theirs has neither `seq` nor `ts`. */
  unrecognisable: number;
  /** Still unusable, and left as they are. The first of them with what is wrong. */
  readonly unusable: Map<QuarantineReason, number>;
  readonly examples: { readonly id: EventId; readonly reason: QuarantineReason; readonly detail: string }[];
  /** Selected events beyond `MAX_REDRIVEN`, left for another run. */
  left: number;
}

/** Most events that one run takes up, so that what it remembers of them is bounded. */
export const MAX_REDRIVEN = 100_000;
const MAX_EXAMPLES = 20;
/** Records of a partition that are on their way into the log at once. */
const RECORDS_AT_ONCE = 100;

interface Candidate {
  readonly reason: QuarantineReason;
  isRedriven: boolean;
}

/**
 * Puts quarantined payloads into the telemetry topic again, judged by the present rules, and leaves a marker behind
 * each event that it has redriven. First `survey`, then `run`. An event whose marker could not be written is redriven again
 * by the next run, which the fold recognises if its messages have `seq` or `ts`.
 */
export class Redrive {
  readonly report: RedriveReport = {
    redriven: 0,
    alreadyRedriven: 0,
    unrecognisable: 0,
    unusable: new Map(),
    examples: [],
    left: 0,
  };
  readonly #options: RedriveOptions;
  /** What is to be redriven, by partition and offset. */
  readonly #candidates = new Map<number, Map<bigint, Candidate>>();
  #size = 0;

  constructor(options: RedriveOptions) {
    this.#options = options;
  }

  /** Finds the events to redrive and returns how many there are of each reason. Rejects with `QuarantineEventMissingError`. */
  async survey(): Promise<ReadonlyMap<QuarantineReason, number>> {
    const { topic, selection } = this.#options;
    const ranges = (await rangesSince(topic, 0)).filter(({ partition }) => concerns(selection, partition));
    await visitQuarantine(topic, ranges, {
      event: (stored) => this.#consider(stored),
      redriven: (id) => this.#wasRedriven(id),
      unreadable: () => undefined,
    });
    const missing = selection.kind === 'ids' ? selection.ids.filter((id) => !this.#find(id)) : [];
    if (missing.length > 0) throw new QuarantineEventMissingError(missing);
    const found = new Map<QuarantineReason, number>();
    for (const candidates of this.#candidates.values()) {
      for (const { reason } of candidates.values()) found.set(reason, (found.get(reason) ?? 0) + 1);
    }
    return found;
  }

  /** Redrives what `survey` found. Rejects with the log's errors; `report` then tells how far it came. */
  async run(): Promise<void> {
    await readQuarantine(this.#options.topic, this.#ranges(), async (partition, records) => {
      const candidates = this.#candidates.get(partition);
      for (let i = 0; i < records.length; i += RECORDS_AT_ONCE) {
        const wanted = records.slice(i, i + RECORDS_AT_ONCE).filter(({ offset }) => candidates?.has(offset));
        await allOf(wanted.map((record) => this.#redrive(partition, record)));
      }
    });
  }

  #consider({ id, event }: StoredEvent): void {
    const { selection } = this.#options;
    if (!isSelected(selection, id, event.reason)) return;
    if (this.#size === MAX_REDRIVEN) {
      this.report.left++;
      return;
    }
    this.#size++;
    const candidates = this.#candidates.get(id.partition) ?? new Map<bigint, Candidate>();
    this.#candidates.set(
      id.partition,
      candidates.set(id.offset, { reason: event.reason, isRedriven: false }),
    );
  }

  #wasRedriven(id: EventId): void {
    const candidate = this.#find(id);
    if (candidate === undefined) return;
    const { selection, isForced } = this.#options;
    candidate.isRedriven = true;
    if (selection.kind === 'ids' || isForced) return;
    this.#forget(id);
    this.report.alreadyRedriven++;
  }

  /** From the first to the last event that is to be redriven. */
  #ranges(): PartitionRange[] {
    return [...this.#candidates].map(([partition, candidates]) => {
      const offsets = [...candidates.keys()];
      return { partition, from: offsets[0] ?? 0n, to: (offsets.at(-1) ?? -1n) + 1n };
    });
  }

  async #redrive(partition: number, { offset, logTime, key, value }: LogRecord): Promise<void> {
    const id = { partition, offset };
    const candidate = this.#find(id);
    const record = decodeQuarantineRecord(value);
    if (candidate === undefined || record.kind !== 'event') return;
    const { rules, clock, isForced } = this.#options;
    const stored = { id, logTime, deviceId: key.toString(), event: record.event };
    const judged = judge(stored, rules, clock());
    if (judged.kind === 'unusable') this.#leave(id, judged);
    else if (candidate.isRedriven && !judged.isRecognisable && !isForced) this.#leaveUnrecognisable(id);
    else await this.#append(stored, judged);
  }

  async #append({ id, deviceId: key }: StoredEvent, { deviceId, value }: UsableEvent): Promise<void> {
    const { topic, telemetryTopic, clock } = this.#options;
    const { log } = topic;
    const partition = partitionOf(deviceId, log.partitions(telemetryTopic));
    try {
      const offset = await log.append(telemetryTopic, partition, deviceId, value);
      // What comes again because its batch was not finished must not be redriven again.
      this.#forget(id);
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
    this.#forget(id);
    unusable.set(reason, (unusable.get(reason) ?? 0) + 1);
    if (examples.length < MAX_EXAMPLES) examples.push({ id, reason, detail });
  }

  #leaveUnrecognisable(id: EventId): void {
    this.#forget(id);
    this.report.alreadyRedriven++;
    this.report.unrecognisable++;
  }

  #find({ partition, offset }: EventId): Candidate | undefined {
    return this.#candidates.get(partition)?.get(offset);
  }

  #forget({ partition, offset }: EventId): void {
    if (this.#candidates.get(partition)?.delete(offset)) this.#size--;
  }
}

function concerns(selection: RedriveSelection, partition: number): boolean {
  return selection.kind === 'all' || selection.ids.some((id) => id.partition === partition);
}

function isSelected(
  selection: RedriveSelection,
  { partition, offset }: EventId,
  reason: QuarantineReason,
): boolean {
  if (selection.kind === 'all') return selection.reason === undefined || selection.reason === reason;
  return selection.ids.some((id) => id.partition === partition && id.offset === offset);
}

/** Waits for all, then rejects with the first failure if there is any. */
async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  const settled = await Promise.allSettled(promises);
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
}
