import { createHash } from 'node:crypto';
import type { LogRecord } from '../../event-log/event-log.ts';
import {
  type DeviceMessage,
  decodeTelemetryEvent,
  type TelemetryEvent,
  UndecodableEventError,
} from '../../event-log/telemetry-event.ts';
import { createDeviceMessages, type DeviceMessages, NO_SEQUENCE } from './device-messages.ts';
import { RangeTooLargeError } from './errors.ts';
import type { QuarantinePositions } from './quarantine-positions.ts';

export interface MessageCollectorOptions {
  readonly quarantined: QuarantinePositions;
  readonly graceMs: number;
  readonly maxAheadMs: number;
  readonly maxAgeMs: number;
  /** Event times of the readings to keep, [from, to) in ms since the epoch. */
  readonly keep: { readonly from: number; readonly to: number };
  /** Log times of the messages that the balance counts, [from, to) in ms since the epoch. */
  readonly count: { readonly from: number; readonly to: number };
  /** Messages and readings that are kept at most. */
  readonly maxKept: number;
}

/** Counts of messages whose log time lies in the range. */
export interface MessageCounts {
  /** Records that are no ticks: payloads that gateways accepted. */
  payloads: number;
  /** Device messages in them. */
  accepted: number;
  duplicates: number;
  /** Quarantined by a processor, as the quarantine topic tells. */
  quarantined: number;
}

/** A message that had to be quarantined and is not in the quarantine topic. */
export interface UnquarantinedMessage {
  readonly deviceId: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly index: number;
  readonly reason: string;
}

/** Payloads of a device that are remembered to recognise a repetition. */
const PAYLOAD_MEMORY = 64;

/** Collects the messages that count, from records in the order of their partitions. */
export class MessageCollector {
  readonly devices = new Map<string, DeviceMessages>();
  readonly counts: MessageCounts = { payloads: 0, accepted: 0, duplicates: 0, quarantined: 0 };
  readonly unquarantined: UnquarantinedMessage[] = [];
  readonly #options: MessageCollectorOptions;
  readonly #payloads = new Map<string, string[]>();
  readonly #logTimes = new Map<number, number>();
  #kept = 0;

  constructor(options: MessageCollectorOptions) {
    this.#options = options;
  }

  /** The latest log time read of a partition, ms since the epoch. */
  logTimeOf(partition: number): number | undefined {
    return this.#logTimes.get(partition);
  }

  /** Adds the next record of a partition. Throws `RangeTooLargeError`. */
  add(partition: number, record: LogRecord): void {
    const logTime = Math.max(record.logTime, this.#logTimes.get(partition) ?? 0);
    this.#logTimes.set(partition, logTime);
    const { count, quarantined } = this.#options;
    const isCounted = logTime >= count.from && logTime < count.to;
    const event = decode(record.value);
    if (event?.kind === 'tick') return;
    if (isCounted) this.counts.payloads++;
    const context = {
      partition,
      record,
      logTime,
      isCounted,
      quarantined: quarantined.of(partition, record.offset),
    };
    if (event === undefined) this.#refuse(context, 0, 'it cannot be decoded');
    else {
      const payload = payloadOf(record, event.messages);
      const latest = this.#payloads.get(record.key.toString()) ?? [];
      const isRepeated = payload !== undefined && latest.includes(payload);
      let isAnyKept = false;
      for (const [index, message] of event.messages.entries()) {
        const timestamp = message.ts ?? event.received;
        isAnyKept = this.#addMessage(context, index, message, timestamp, isRepeated) || isAnyKept;
      }
      if (isAnyKept && payload !== undefined) {
        this.#payloads.set(record.key.toString(), [...latest, payload].slice(-PAYLOAD_MEMORY));
      }
    }
    if (this.#kept > this.#options.maxKept)
      throw new RangeTooLargeError(this.#options.maxKept, 'messages and readings');
  }

  /** Tells whether it was neither quarantined nor said before by a whole payload. */
  #addMessage(
    context: Context,
    index: number,
    message: DeviceMessage,
    timestamp: number,
    isRepeated: boolean,
  ): boolean {
    const { maxAheadMs, maxAgeMs } = this.#options;
    const { logTime } = context;
    if (context.quarantined.has(index)) this.#refuse(context, index, '');
    else if (timestamp > logTime + maxAheadMs) this.#refuse(context, index, 'it is too far ahead');
    else if (timestamp < logTime - maxAgeMs) this.#refuse(context, index, 'it is too old');
    else if (isRepeated && (message.seq !== undefined || message.ts !== undefined)) {
      this.#countDuplicate(context);
    } else {
      this.#keep(context, message, timestamp);
      return true;
    }
    return false;
  }

  #countDuplicate({ isCounted }: Context): void {
    if (!isCounted) return;
    this.counts.accepted++;
    this.counts.duplicates++;
  }

  #refuse({ isCounted, quarantined, partition, record }: Context, index: number, reason: string): void {
    if (!isCounted) return;
    this.counts.accepted++;
    if (quarantined.has(index)) {
      this.counts.quarantined++;
      return;
    }
    const deviceId = record.key.toString();
    this.unquarantined.push({ deviceId, partition, offset: record.offset, index, reason });
    this.#kept++;
  }

  #keep({ partition, record, logTime, isCounted }: Context, message: DeviceMessage, timestamp: number): void {
    const { keep, graceMs } = this.#options;
    const isKept = timestamp >= keep.from && timestamp < keep.to;
    if (isCounted) this.counts.accepted++;
    if (!isKept && !isCounted) return;
    const deviceId = record.key.toString();
    const device = this.devices.get(deviceId) ?? createDeviceMessages(partition);
    this.devices.set(deviceId, device);
    const isNumbered = message.seq !== undefined && message.ts !== undefined;
    const at = device.sequences.push(isNumbered ? (message.seq ?? NO_SEQUENCE) : NO_SEQUENCE) - 1;
    device.timestamps.push(timestamp);
    device.settled.push(Math.max(timestamp, logTime - graceMs));
    device.counted.push(isCounted);
    this.#kept++;
    if (isKept) this.#keepReadings(device, at, message.metrics);
  }

  #keepReadings(device: DeviceMessages, message: number, metrics: DeviceMessage['metrics']): void {
    for (const [metric, raw] of Object.entries(metrics)) {
      if (typeof raw !== 'boolean' && !(typeof raw === 'number' && Number.isFinite(raw))) continue;
      const series = device.series.get(metric) ?? { values: [], messages: [] };
      device.series.set(metric, series);
      // The sum with 0 makes -0 the 0 that it equals.
      series.values.push(Number(raw) + 0);
      series.messages.push(message);
      this.#kept++;
    }
  }
}

/** Names the bytes of a payload. Undefined for a single message with a number and a time, which these name, or with neither. */
function payloadOf({ value }: LogRecord, messages: readonly DeviceMessage[]): string | undefined {
  const [first] = messages;
  if (first === undefined) return undefined;
  if (messages.length === 1 && (first.seq === undefined) === (first.ts === undefined)) return undefined;
  const text = value.toString('latin1');
  return createHash('sha1')
    .update(text.slice(text.indexOf('"data":')), 'latin1')
    .digest('base64');
}

interface Context {
  readonly partition: number;
  readonly record: LogRecord;
  readonly logTime: number;
  readonly isCounted: boolean;
  readonly quarantined: ReadonlySet<number>;
}

function decode(value: Buffer): TelemetryEvent | undefined {
  try {
    return decodeTelemetryEvent(value);
  } catch (error) {
    if (error instanceof UndecodableEventError) return undefined;
    throw error;
  }
}
