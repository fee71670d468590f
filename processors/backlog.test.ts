import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import type { LogRecord } from '../event-log/event-log.ts';
import { encodeTelemetryEvent, encodeTick } from '../event-log/telemetry-event.ts';
import { type Aggregate, mergeAggregates } from '../metric-store/aggregate.ts';
import { type Distribution, quantile, RELATIVE_ACCURACY } from '../metric-store/distribution.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { createFoldOutput, step } from './fold.ts';
import type { FoldConfig } from './fold-config.ts';
import { type ExpectedWindow, expectedWindows, windowOf } from './fold-oracle.fixture.ts';
import { createFoldState } from './fold-state.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Not the start of an hour, so that the day has an incomplete one at either end. */
const START = 1_800_000_000_000 + 1_234_567;
/** Every ten seconds of a day. */
const READINGS = 8_640;
const DEVICE = 'd1';

const CONFIG: FoldConfig = {
  windowsMs: [10 * SECOND_MS, 60 * SECOND_MS, HOUR_MS],
  graceMs: 2 * SECOND_MS,
  maxAheadMs: 60 * SECOND_MS,
  maxAgeMs: 7 * DAY_MS,
  maxOpenAggregates: 100_000,
  maxDevices: 1_000,
};

interface Message {
  readonly ts: number;
  readonly seq?: number;
  readonly metrics: Readonly<Record<string, number | boolean>>;
}

/** A day of a device. Large values that differ little, signs and repeated values, as sensors have them. */
function messagesOf(hasSequence: boolean): Message[] {
  return Array.from({ length: READINGS }, (_, n) => {
    const hours = n / 360;
    const metrics = {
      temperature: Math.round(100 * (4 + 9 * Math.sin(hours / 4) + ((n * 7_919) % 97) / 50)) / 100,
      pressure: 101_325 + ((n * 104_729) % 1_013) / 7,
      door: n % 180 < 3,
    };
    const ts = START + n * 10 * SECOND_MS;
    return hasSequence ? { ts, seq: n, metrics } : { ts, metrics };
  });
}

interface Delivery {
  readonly logTime: number;
  readonly payload: unknown;
}

/** Each message 40 ms after its time. */
function live(messages: readonly Message[]): Delivery[] {
  return messages.map((message) => ({ logTime: message.ts + 40, payload: message }));
}

/** All of them from the end of the day on, a payload every 5 ms. */
function stored(payloads: readonly unknown[]): Delivery[] {
  return payloads.map((payload, n) => ({ logTime: START + DAY_MS + n * 5, payload }));
}

function inArraysOf(size: number, messages: readonly Message[]): Message[][] {
  return Array.from({ length: Math.ceil(messages.length / size) }, (_, n) =>
    messages.slice(n * size, (n + 1) * size),
  );
}

function recordsOf(deliveries: readonly Delivery[]): LogRecord[] {
  const records = deliveries.map(({ logTime, payload }, n) => ({
    offset: BigInt(n),
    logTime,
    key: Buffer.from(DEVICE),
    value: encodeTelemetryEvent(logTime - 5, Buffer.from(JSON.stringify(payload))),
  }));
  const end = START + DAY_MS + 3 * HOUR_MS;
  const offset = BigInt(records.length);
  return [...records, { offset, logTime: end, key: Buffer.alloc(0), value: encodeTick() }];
}

/** The aggregates of a resolution as a reader sees them: the panes of each window merged. */
function foldWindows(records: readonly LogRecord[]) {
  const state = createFoldState(CONFIG.windowsMs.length);
  const output = createFoldOutput();
  for (const record of records) step(CONFIG, state, record, output);
  const merged = new Map<number, Map<string, Aggregate>>(
    CONFIG.windowsMs.map((sizeMs) => [sizeMs, new Map()]),
  );
  for (const row of output.rows) mergeInto(merged.get(row.resolutionMs) ?? new Map(), row);
  return { merged, ...output };
}

function mergeInto(windows: Map<string, Aggregate>, row: WindowAggregate): void {
  const present = windows.get(windowOf(row));
  windows.set(windowOf(row), present === undefined ? row.aggregate : mergeAggregates(present, row.aggregate));
}

/** What has to be equal bit for bit, however the readings came. */
function exactPartOf({ count, min, max, first, firstAt, last, lastAt, distribution }: Aggregate) {
  return { count, min, max, first, firstAt, last, lastAt, distribution: inOrder(distribution) };
}

function inOrder(distribution: Distribution) {
  if (distribution.kind === 'raw') return distribution.values.toSorted((a, b) => a - b);
  const { positive, negative, zero } = distribution;
  const sorted = (buckets: ReadonlyMap<number, number>) => [...buckets].sort(([a], [b]) => a - b);
  return { positive: sorted(positive), negative: sorted(negative), zero };
}

function isClose(seen: number, expected: number): boolean {
  return Math.abs(seen - expected) <= 1e-9 * Math.abs(expected);
}

/** Nearest rank of ascending values. */
function exactQuantile(ascending: readonly number[], q: number): number {
  return ascending[Math.max(0, Math.ceil(q * ascending.length) - 1)] ?? Number.NaN;
}

function areQuantilesWithinStatedError({ distribution }: Aggregate, ascending: readonly number[]): boolean {
  const error = distribution.kind === 'raw' ? 0 : RELATIVE_ACCURACY * (1 + 1e-9);
  return [0.01, 0.25, 0.5, 0.95, 0.99].every((q) => {
    const exact = exactQuantile(ascending, q);
    return Math.abs(quantile(distribution, q) - exact) <= error * Math.abs(exact);
  });
}

/** What is wrong with a window's aggregate, against what it would have been live and what an oracle computes. */
function problemsOf(late: Aggregate, punctual: Aggregate, { sum, m2, values }: ExpectedWindow): string[] {
  const problems: string[] = [];
  if (!isDeepStrictEqual(exactPartOf(late), exactPartOf(punctual))) problems.push('differs from live');
  if (late.count !== values.length) problems.push(`${late.count} readings, not ${values.length}`);
  if (late.min !== values[0] || late.max !== values.at(-1)) problems.push('min or max');
  for (const aggregate of [late, punctual]) {
    if (!isClose(aggregate.sum, sum)) problems.push(`sum ${aggregate.sum}, not ${sum}`);
    if (!isClose(aggregate.m2, m2)) problems.push(`m2 ${aggregate.m2}, not ${m2}`);
  }
  if (!areQuantilesWithinStatedError(late, values)) problems.push('percentiles');
  return problems;
}

test.each([
  { how: 'one by one, numbered', payloads: messagesOf(true) },
  { how: 'one by one, without numbers', payloads: messagesOf(false) },
  { how: 'in arrays of 100, numbered', payloads: inArraysOf(100, messagesOf(true)) },
  { how: 'in arrays of 100, without numbers', payloads: inArraysOf(100, messagesOf(false)) },
])(
  'a device that was offline for a day and sends its 8,640 stored readings at once, $how, ends with exactly the aggregates that it would have had live',
  ({ payloads }) => {
    const asLive = recordsOf(live(payloads.flat()));
    const punctual = foldWindows(asLive);
    const late = foldWindows(recordsOf(stored(payloads)));
    expect(punctual.counts).toMatchObject({ messages: READINGS, late: 0 });
    expect(late.counts).toMatchObject({ messages: READINGS, duplicates: 0 });
    expect(late.counts.late).toBeGreaterThan(3 * READINGS - 10);
    expect(late.quarantined).toEqual([]);
    for (const sizeMs of CONFIG.windowsMs) {
      const expected = expectedWindows(asLive, CONFIG, sizeMs);
      const [seen, wouldBe] = [late.merged.get(sizeMs), punctual.merged.get(sizeMs)];
      expect([seen?.size, wouldBe?.size]).toEqual([expected.size, expected.size]);
      const problems = [...expected].flatMap(([window, oracle]) => {
        const [a, b] = [seen?.get(window), wouldBe?.get(window)];
        const found = a === undefined || b === undefined ? ['missing'] : problemsOf(a, b, oracle);
        return found.map((problem) => `${window}: ${problem}`);
      });
      expect(problems).toEqual([]);
    }
  },
);
