import type { LogRecord } from '../event-log/event-log.ts';
import type { QuarantineReason } from '../event-log/quarantine-event.ts';
import {
  type DeviceMessage,
  decodeTelemetryEvent,
  type TelemetryEvent,
  UndecodableEventError,
} from '../event-log/telemetry-event.ts';
import { addReading, createAggregate } from '../metric-store/aggregate.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import type { FoldState, OpenPane } from './fold-state.ts';
import { type PanePosition, panePositionOf } from './window.ts';

/** What shapes the fold's output. A different configuration is a different fold. */
export interface FoldConfig {
  /** Window size, ms. */
  readonly windowMs: number;
  /** How far the watermark stays behind log time, ms. */
  readonly graceMs: number;
  /** Event time further than this ahead of log time is quarantined, ms. */
  readonly maxAheadMs: number;
  /** Event time further than this behind log time is quarantined, ms. */
  readonly maxAgeMs: number;
  /** Open aggregates per partition; a message that would open more is quarantined, those present go on. */
  readonly maxOpenAggregates: number;
}

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

export function createFoldOutput(): FoldOutput {
  return { rows: [], quarantined: [], counts: { messages: 0, readings: 0, late: 0, skipped: 0, ticks: 0 } };
}

/**
 * Folds the next record of a partition: closes the panes that its log time completes, then adds its readings. A
 * function of its arguments alone: no clock, no randomness, no I/O. Changes `state` in place and appends to `output`;
 * the state after a record is the same whichever process computed it.
 */
export function step(config: FoldConfig, state: FoldState, record: LogRecord, output: FoldOutput): void {
  state.nextOffset = record.offset + 1n;
  if (record.logTime > state.logTime) state.logTime = record.logTime;
  const watermark = state.logTime - config.graceMs;
  if (watermark >= state.nextClosesAt) closePanes(state, watermark, config.windowMs, output.rows);

  const event = decode(record, output);
  if (event === undefined) return;
  if (event.kind === 'tick') {
    output.counts.ticks++;
    return;
  }
  const deviceId = record.key.toString('latin1');
  for (let index = 0; index < event.messages.length; index++) {
    const message = event.messages[index];
    if (message === undefined) continue;
    const timestamp = message.ts ?? event.received;
    const refusal = refuse(config, state, timestamp);
    if (refusal === undefined)
      foldMessage(config, state, record.offset, deviceId, timestamp, message, output);
    else output.quarantined.push(quarantine(refusal, record, deviceId, index, event.received, message));
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

function refuse(config: FoldConfig, state: FoldState, timestamp: number): Refusal | undefined {
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
  if (state.openAggregates >= config.maxOpenAggregates) {
    return {
      reason: 'budget_exceeded',
      detail: `${state.openAggregates} aggregates are open in this partition; the bound is ${config.maxOpenAggregates} (maxOpenAggregates)`,
    };
  }
  return undefined;
}

function quarantine(
  { reason, detail }: Refusal,
  record: LogRecord,
  deviceId: string,
  index: number,
  received: number,
  message: DeviceMessage,
): QuarantinedMessage {
  const payload = Buffer.from(JSON.stringify(message));
  return { reason, detail, deviceId, offset: record.offset, index, received, payload };
}

function foldMessage(
  config: FoldConfig,
  state: FoldState,
  offset: bigint,
  deviceId: string,
  timestamp: number,
  message: DeviceMessage,
  output: FoldOutput,
): void {
  const position = panePositionOf(timestamp, state.logTime - config.graceMs, config.windowMs);
  let pane: OpenPane | undefined;
  let readings = 0;
  for (const metric of Object.keys(message.metrics)) {
    const value = numberOf(message.metrics[metric]);
    if (value === undefined) {
      output.counts.skipped++;
      continue;
    }
    pane ??= openPane(state, offset, deviceId, position);
    const aggregate = pane.metrics.get(metric);
    if (aggregate === undefined) {
      pane.metrics.set(metric, createAggregate(value, timestamp));
      state.openAggregates++;
    } else {
      addReading(aggregate, value, timestamp);
    }
    readings++;
  }
  output.counts.messages++;
  output.counts.readings += readings;
  if (position.pane > 0) output.counts.late += readings;
}

/** Booleans count as 0 and 1; anything else that is not a finite number is no reading. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return undefined;
}

function openPane(state: FoldState, offset: bigint, deviceId: string, position: PanePosition): OpenPane {
  let panes = state.devices.get(deviceId);
  if (panes === undefined) {
    panes = new Map();
    state.devices.set(deviceId, panes);
  }
  let pane = panes.get(position.windowStart);
  if (pane === undefined) {
    pane = { deviceId, windowStart: position.windowStart, pane: position.pane, metrics: new Map() };
    panes.set(position.windowStart, pane);
    scheduleClosing(state, offset, position.closesAt, pane);
  }
  return pane;
}

function scheduleClosing(state: FoldState, offset: bigint, closesAt: number, pane: OpenPane): void {
  const closing = state.closing.get(closesAt);
  if (closing !== undefined) {
    closing.panes.push(pane);
    return;
  }
  state.closing.set(closesAt, { firstOffset: offset, firstLogTime: state.logTime, panes: [pane] });
  if (closesAt < state.nextClosesAt) state.nextClosesAt = closesAt;
}

function closePanes(
  state: FoldState,
  watermark: number,
  resolutionMs: number,
  rows: WindowAggregate[],
): void {
  const due = [...state.closing.keys()].filter((closesAt) => closesAt <= watermark).sort((a, b) => a - b);
  for (const closesAt of due) {
    for (const pane of state.closing.get(closesAt)?.panes ?? []) closePane(state, pane, resolutionMs, rows);
    state.closing.delete(closesAt);
  }
  state.nextClosesAt = Math.min(...state.closing.keys());
}

function closePane(state: FoldState, closed: OpenPane, resolutionMs: number, rows: WindowAggregate[]): void {
  const { deviceId, windowStart, pane, metrics } = closed;
  for (const [metric, aggregate] of metrics) {
    rows.push({ deviceId, metric, resolutionMs, windowStart, pane, aggregate });
  }
  state.openAggregates -= metrics.size;
  const panes = state.devices.get(deviceId);
  panes?.delete(windowStart);
  if (panes?.size === 0) state.devices.delete(deviceId);
}
