import type { LogRecord } from '../event-log/event-log.ts';
import { type FlatMessage, MessageReader } from '../event-log/flat-message.ts';
import type { QuarantineReason } from '../event-log/quarantine-event.ts';
import {
  decodeTelemetryEvent,
  type TelemetryEvent,
  UndecodableEventError,
} from '../event-log/telemetry-event.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { isDuplicate } from './duplicates.ts';
import { type FoldConfig, forgetAfterMs } from './fold-config.ts';
import { type FoldState, type LevelState, nextClosesAtOf } from './fold-state.ts';
import { addToPane, closeLatePanesEarly, closePanes, openPane } from './levels.ts';
import { panePositionOf } from './window.ts';

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
  if (message !== undefined) foldMessage(config, state, record, message, 0, output);
  else foldUnscanned(config, state, record, output);
}

function foldUnscanned(config: FoldConfig, state: FoldState, record: LogRecord, output: FoldOutput): void {
  const event = decode(record, output);
  if (event === undefined) return;
  if (event.kind === 'tick') {
    output.counts.ticks++;
    return;
  }
  event.messages.forEach((message, index) => {
    foldMessage(config, state, record, reader.flatten(event.received, message), index, output);
  });
}

function foldMessage(
  config: FoldConfig,
  state: FoldState,
  record: LogRecord,
  message: FlatMessage,
  index: number,
  output: FoldOutput,
): void {
  const deviceId = record.key.toString('latin1');
  const timestamp = message.ts ?? message.received;
  const refusal = refuse(config, state, deviceId, timestamp, output);
  if (refusal !== undefined) {
    output.quarantined.push(quarantine(refusal, record, deviceId, message.received, index));
  } else if (isDuplicate(state, deviceId, message, record.value, index)) output.counts.duplicates++;
  else addReadings(config, state, deviceId, timestamp, message, output);
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

function refuse(
  config: FoldConfig,
  state: FoldState,
  deviceId: string,
  timestamp: number,
  output: FoldOutput,
): Refusal | undefined {
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
  return refuseBeyondBudget(config, state, deviceId, output);
}

function refuseBeyondBudget(
  config: FoldConfig,
  state: FoldState,
  deviceId: string,
  output: FoldOutput,
): Refusal | undefined {
  const { maxOpenAggregates, maxDevices } = config;
  if (state.devices.size >= maxDevices && !state.devices.has(deviceId)) {
    return {
      reason: 'budget_exceeded',
      detail: `${state.devices.size} devices are known in this partition; the bound is ${maxDevices} (maxDevices)`,
    };
  }
  const [level] = state.levels;
  if (level === undefined || level.openAggregates < maxOpenAggregates) return undefined;
  closeLatePanesEarly(config, state, 0, latePanesCloseAt(config, state), output.rows);
  if (level.openAggregates < maxOpenAggregates) return undefined;
  return {
    reason: 'budget_exceeded',
    detail: `${level.openAggregates} aggregates are open in this partition; the bound is ${maxOpenAggregates} (maxOpenAggregates)`,
  };
}

/** When the late panes of the finest resolution close: at the end of the window that the watermark is in. */
function latePanesCloseAt({ graceMs, windowsMs: [sizeMs = 1] }: FoldConfig, { logTime }: FoldState): number {
  return Math.floor((logTime - graceMs) / sizeMs) * sizeMs + sizeMs;
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
  timestamp: number,
  { names, values, size, skipped }: FlatMessage,
  output: FoldOutput,
): void {
  output.counts.messages++;
  output.counts.readings += size;
  output.counts.skipped += skipped;
  if (size === 0) return;
  const level = state.levels[0] as LevelState;
  const sizeMs = config.windowsMs[0] as number;
  const position = panePositionOf(timestamp, state.logTime - config.graceMs, sizeMs);
  if (position.pane > 0) output.counts.late += size;
  const pane = openPane(config, level, sizeMs, deviceId, position);
  for (let i = 0; i < size; i++) addToPane(level, pane, names[i] as string, values[i] as number, timestamp);
}
