import type { LogRecord } from '../event-log/event-log.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import type { FoldConfig } from './fold-config.ts';

/** What a window of a series should hold, computed from all its readings at once. */
export interface ExpectedWindow {
  readonly count: number;
  readonly sum: number;
  readonly sumOfMagnitudes: number;
  readonly min: number;
  readonly max: number;
  readonly first: number;
  readonly last: number;
  readonly m2: number;
  readonly values: readonly number[];
}

interface OracleReading {
  readonly timestamp: number;
  readonly value: number;
}

/**
 * Sorts all readings of all records into windows of one size and aggregates each, in the plainest way, by
 * `device metric start`. A message that was accepted before, by its number or else by its payload, does not count.
 */
export function expectedWindows(
  records: readonly LogRecord[],
  config: FoldConfig,
  windowMs: number,
): Map<string, ExpectedWindow> {
  const windows = new Map<string, OracleReading[]>();
  for (const { deviceId, ts, metrics } of acceptedMessages(records, config)) {
    for (const [metric, raw] of Object.entries(metrics)) {
      if (typeof raw === 'string') continue;
      const id = `${deviceId} ${metric} ${ts - (ts % windowMs)}`;
      windows.set(id, [...(windows.get(id) ?? []), { timestamp: ts, value: Number(raw) }]);
    }
  }
  return new Map([...windows].map(([id, readings]) => [id, aggregateOf(readings)]));
}

/** A device message that counts. */
export interface AcceptedMessage {
  readonly deviceId: string;
  readonly ts: number;
  readonly metrics: Readonly<Record<string, unknown>>;
}

/**
 * The messages that count: neither too old nor too far ahead, and each once. What became of a payload's messages at its
 * first delivery is not changed by a second.
 */
export function acceptedMessages(records: readonly LogRecord[], config: FoldConfig): AcceptedMessage[] {
  const accepted: AcceptedMessage[] = [];
  const seen = new Set<string>();
  for (const { key, value, logTime } of records) {
    const { tick, data } = JSON.parse(value.toString());
    const payload = `${key} ${JSON.stringify(data)}`;
    if (tick || seen.has(payload)) continue;
    for (const { ts, seq, metrics } of Array.isArray(data) ? data : [data]) {
      if (ts > logTime + config.maxAheadMs || ts < logTime - config.maxAgeMs) continue;
      if (seq === undefined || !seen.has(`${key} ${seq} ${ts}`)) {
        accepted.push({ deviceId: key.toString(), ts, metrics });
        seen.add(payload);
      }
      seen.add(`${key} ${seq} ${ts}`);
    }
  }
  return accepted;
}

function aggregateOf(readings: readonly OracleReading[]): ExpectedWindow {
  const byTime = [...readings].sort((a, b) => a.timestamp - b.timestamp || a.value - b.value);
  const values = byTime.map(({ value }) => value);
  const sum = values.reduce((total, value) => total + value, 0);
  const mean = sum / values.length;
  return {
    count: values.length,
    sum,
    sumOfMagnitudes: values.reduce((total, value) => total + Math.abs(value), 0),
    min: Math.min(...values),
    max: Math.max(...values),
    first: values[0] ?? Number.NaN,
    last: values.at(-1) ?? Number.NaN,
    m2: values.reduce((total, value) => total + (value - mean) ** 2, 0),
    values: [...values].sort((a, b) => a - b),
  };
}

/** The identity of a row, as a string. */
export function identityOf({ deviceId, metric, windowStart, pane, resolutionMs }: WindowAggregate): string {
  return `${deviceId} ${metric} ${windowStart} ${pane} ${resolutionMs}`;
}

/** The window of a row, as the oracle names it. */
export function windowOf({ deviceId, metric, windowStart }: WindowAggregate): string {
  return `${deviceId} ${metric} ${windowStart}`;
}
