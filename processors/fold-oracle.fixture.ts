import type { LogRecord } from '../event-log/event-log.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import type { FoldConfig } from './fold.ts';

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

/** Sorts all readings of all records into windows and aggregates each, in the plainest way, by `device metric start`. */
export function expectedWindows(
  records: readonly LogRecord[],
  config: FoldConfig,
): Map<string, ExpectedWindow> {
  const windows = new Map<string, OracleReading[]>();
  for (const { key, value, logTime } of records) {
    const event = JSON.parse(value.toString());
    if (event.tick) continue;
    for (const { ts, metrics } of Array.isArray(event.data) ? event.data : [event.data]) {
      if (ts > logTime + config.maxAheadMs || ts < logTime - config.maxAgeMs) continue;
      for (const [metric, raw] of Object.entries(metrics)) {
        if (typeof raw === 'string') continue;
        const id = `${key} ${metric} ${ts - (ts % config.windowMs)}`;
        windows.set(id, [...(windows.get(id) ?? []), { timestamp: ts, value: Number(raw) }]);
      }
    }
  }
  return new Map([...windows].map(([id, readings]) => [id, aggregateOf(readings)]));
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
