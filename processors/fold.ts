import type { LogRecord } from '../event-log/event-log.ts';
import { type FlatMessage, MessageReader } from '../event-log/flat-message.ts';
import type { QuarantineReason } from '../event-log/quarantine-event.ts';
import {
  decodeTelemetryEvent,
  type TelemetryEvent,
  UndecodableEventError,
} from '../event-log/telemetry-event.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { isDuplicate, needsPayload, rememberMessage, rememberPayloadOf } from './duplicates.ts';
import { type FoldConfig, forgetAfterMs } from './fold-config.ts';
import { type FoldState, type LevelState, nextClosesAtOf, openAggregatesOf } from './fold-state.ts';
import { addToPane, closeLatePanesEarly, closePanes, openPane } from './levels.ts';
import { hashPayloadOf } from './payload-memory.ts';
import { type PanePosition, panePositionOf } from './window.ts';

/** What folding produces. The caller owns it, and takes out what it has dealt with. */
export interface FoldOutput {
  /** Closed panes, each exactly once. */
  rows: WindowAggregate[];
  quarantined: QuarantinedMessage[];
  counts: FoldCounts;
}

/** Counts of what was folded. */
export interface FoldCounts {
  /** Device messages folded into panes. */
  messages: number;
  /** Device messages that had been folded before. */
  duplicates: number;
  readings: number;
  /** Readings of `readings` whose window had closed. */
  late: number;
  /** Values that are neither a finite number nor a boolean. */
  skipped: number;
  ticks: number;
}

/** A message that could not be folded, with its place in the log. */
export interface QuarantinedMessage {
  readonly reason: QuarantineReason;
  readonly detail: string;
  readonly deviceId: string;
  readonly offset: bigint;
  /** Position within the record's array of messages. */
  readonly index: number;
  readonly received: number;
  readonly payload: Buffer;
}

/** One message is read at a time, and synchronously. */
const reader = new MessageReader();

export function createFoldOutput(): FoldOutput {
  return {
    rows: [],
    quarantined: [],
    counts: { messages: 0, duplicates: 0, readings: 0, late: 0, skipped: 0, ticks: 0 },
  };
}

/**
 * Folds the next record of a partition: closes the panes that its log time completes, then adds its readings. A
 * function of its arguments alone: no clock, no randomness, no I/O. Changes `state` in place and appends to `output`;
 * the state after a record is the same whichever process computed it.
 */
export function step(config: FoldConfig, state: FoldState, record: LogRecord, output: FoldOutput): void {
  state.nextOffset = record.offset + 1n;
  if (record.logTime > state.logTime) advance(config, state, record.logTime, output);
  const message = reader.scan(record.value);
  if (message !== undefined) foldScanned(config, state, record, message, output);
  else foldUnscanned(config, state, record, output);
}

/** A record being folded. */
interface Delivery {
  readonly record: LogRecord;
  readonly deviceId: string;
  /** Of the whole payload, where it may have to tell a repetition. */
  readonly payloadHash: number | undefined;
}

function foldScanned(
  config: FoldConfig,
  state: FoldState,
  record: LogRecord,
  message: FlatMessage,
  output: FoldOutput,
): void {
  const payloadHash = needsPayload(message) ? hashPayloadOf(record.value) : undefined;
  const delivery = { record, deviceId: record.key.toString('latin1'), payloadHash };
  const isFolded = foldMessage(config, state, delivery, message, 0, output);
  if (isFolded && payloadHash !== undefined) rememberPayloadOf(state, delivery.deviceId, payloadHash);
}

function foldUnscanned(config: FoldConfig, state: FoldState, record: LogRecord, output: FoldOutput): void {
  const event = decode(record, output);
  if (event === undefined) return;
  if (event.kind === 'tick') {
    output.counts.ticks++;
    return;
  }
  const { messages, received } = event;
  // An array may hold more numbers than are remembered one by one.
  const isHashed = messages.length > 1 || messages.some(({ seq, ts }) => needsPayload({ seq, ts }));
  const payloadHash = isHashed ? hashPayloadOf(record.value) : undefined;
  const delivery = { record, deviceId: record.key.toString('latin1'), payloadHash };
  let folded = 0;
  messages.forEach((message, index) => {
    if (foldMessage(config, state, delivery, reader.flatten(received, message), index, output)) folded++;
  });
  if (folded > 0 && payloadHash !== undefined) rememberPayloadOf(state, delivery.deviceId, payloadHash);
}

/** Tells whether the message was folded; otherwise it is a duplicate, or quarantined. */
function foldMessage(
  config: FoldConfig,
  state: FoldState,
  { record, deviceId, payloadHash }: Delivery,
  message: FlatMessage,
  index: number,
  output: FoldOutput,
): boolean {
  const tooOldOrAhead = refuseTime(config, state, message.ts ?? message.received);
  if (tooOldOrAhead === undefined && isDuplicate(state.devices.get(deviceId), message, payloadHash)) {
    output.counts.duplicates++;
    return false;
  }
  const refusal = tooOldOrAhead ?? refuseBeyondBudget(config, state, deviceId, message, output.rows);
  if (refusal !== undefined) {
    output.quarantined.push(quarantine(refusal, record, deviceId, message.received, index));
    return false;
  }
  rememberMessage(state, deviceId, message);
  addReadings(config, state, deviceId, message, output);
  return true;
}

/** Moves log time on: closes what is due, and once in a coarsest window forgets devices that are silent for long. */
function advance(config: FoldConfig, state: FoldState, logTime: number, output: FoldOutput): void {
  const coarsest = config.windowsMs.at(-1) ?? 1;
  const isNewWindow = Math.floor(logTime / coarsest) > Math.floor(state.logTime / coarsest);
  state.logTime = logTime;
  const watermark = logTime - config.graceMs;
  if (watermark >= nextClosesAtOf(state)) closePanes(config, state, watermark, output.rows);
  if (!isNewWindow) return;
  const forgetBefore = logTime - forgetAfterMs(config);
  for (const [deviceId, { lastSeen }] of state.devices) {
    if (lastSeen < forgetBefore) state.devices.delete(deviceId);
  }
}

function decode(record: LogRecord, output: FoldOutput): TelemetryEvent | undefined {
  try {
    return decodeTelemetryEvent(record.value);
  } catch (error) {
    if (!(error instanceof UndecodableEventError)) throw error;
    output.quarantined.push({
      reason: 'undecodable_event',
      detail: error.message,
      deviceId: record.key.toString('latin1'),
      offset: record.offset,
      index: 0,
      received: record.logTime,
      payload: Buffer.from(record.value),
    });
    return undefined;
  }
}

interface Refusal {
  readonly reason: QuarantineReason;
  readonly detail: string;
}

function refuseTime(config: FoldConfig, state: FoldState, timestamp: number): Refusal | undefined {
  const ahead = timestamp - state.logTime;
  if (ahead > config.maxAheadMs) {
    return {
      reason: 'too_far_ahead',
      detail: `event time ${timestamp} is ${ahead} ms ahead of log time ${state.logTime}; at most ${config.maxAheadMs} ms (maxAhead) is accepted`,
    };
  }
  if (-ahead > config.maxAgeMs) {
    return {
      reason: 'too_old',
      detail: `event time ${timestamp} is ${-ahead} ms behind log time ${state.logTime}; at most ${config.maxAgeMs} ms (maxAge) is accepted`,
    };
  }
  return undefined;
}

function refuseBeyondBudget(
  config: FoldConfig,
  state: FoldState,
  deviceId: string,
  message: FlatMessage,
  rows: WindowAggregate[],
): Refusal | undefined {
  const { maxOpenAggregates, maxDevices } = config;
  if (state.devices.size >= maxDevices && !state.devices.has(deviceId)) {
    return {
      reason: 'budget_exceeded',
      detail: `${state.devices.size} devices are known in this partition; the bound is ${maxDevices} (maxDevices)`,
    };
  }
  // Closing a pane opens at most as many aggregates as it had, so that the bound holds when it holds here.
  if (openAggregatesOf(state) + message.size <= maxOpenAggregates) return undefined;
  for (let index = 0; index < state.levels.length; index++) {
    if (openAggregatesWith(config, state, deviceId, message) <= maxOpenAggregates) return undefined;
    closeLatePanesEarly(config, state, index, rows);
  }
  const needed = openAggregatesWith(config, state, deviceId, message);
  if (needed <= maxOpenAggregates) return undefined;
  return {
    reason: 'budget_exceeded',
    detail: `${needed} aggregates would be open in this partition; the bound is ${maxOpenAggregates} (maxOpenAggregates)`,
  };
}

/** Aggregates open once the message has been folded. */
function openAggregatesWith(
  config: FoldConfig,
  state: FoldState,
  deviceId: string,
  message: FlatMessage,
): number {
  const { windowStart } = positionOf(config, state, message);
  const present = state.levels[0]?.panes.get(deviceId)?.get(windowStart);
  let open = openAggregatesOf(state);
  for (let i = 0; i < message.size; i++) if (!present?.metrics.has(message.names[i] as string)) open++;
  return open;
}

function positionOf(config: FoldConfig, state: FoldState, { ts, received }: FlatMessage): PanePosition {
  return panePositionOf(ts ?? received, state.logTime - config.graceMs, config.windowsMs[0] as number);
}

function quarantine(
  { reason, detail }: Refusal,
  { offset, value }: LogRecord,
  deviceId: string,
  received: number,
  index: number,
): QuarantinedMessage {
  const event = decodeTelemetryEvent(value);
  const message = event.kind === 'messages' ? event.messages[index] : undefined;
  const payload = Buffer.from(JSON.stringify(message));
  return { reason, detail, deviceId, offset, index, received, payload };
}

function addReadings(
  config: FoldConfig,
  state: FoldState,
  deviceId: string,
  message: FlatMessage,
  output: FoldOutput,
): void {
  const { names, values, size, skipped } = message;
  output.counts.messages++;
  output.counts.readings += size;
  output.counts.skipped += skipped;
  if (size === 0) return;
  const level = state.levels[0] as LevelState;
  const position = positionOf(config, state, message);
  if (position.pane > 0) output.counts.late += size;
  const pane = openPane(config, level, config.windowsMs[0] as number, deviceId, position);
  const timestamp = message.ts ?? message.received;
  for (let i = 0; i < size; i++) addToPane(level, pane, names[i] as string, values[i] as number, timestamp);
}
