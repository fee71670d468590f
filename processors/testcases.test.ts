import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { LogRecord } from '../event-log/event-log.ts';
import { encodeTick } from '../event-log/telemetry-event.ts';
import type { Distribution } from '../metric-store/distribution.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { createFoldOutput, step } from './fold.ts';
import { createFoldState } from './fold-state.ts';

const FOLDER = new URL('./testcases/', import.meta.url);

const config = z.strictObject({
  windowsMs: z.array(z.int()),
  graceMs: z.int(),
  maxAheadMs: z.int(),
  maxAgeMs: z.int(),
  maxOpenAggregates: z.int(),
  maxDevices: z.int(),
});

/** `value` is the event, `raw` the text of a value that is written otherwise than JSON.stringify would. */
const plannedRecord = z.union([
  z.strictObject({ logTime: z.int(), tick: z.literal(true) }),
  z.strictObject({ logTime: z.int(), key: z.string(), value: z.unknown() }),
  z.strictObject({ logTime: z.int(), key: z.string(), raw: z.string() }),
]);

const outcome = z.strictObject({
  /** What the case shows. */
  rule: z.string(),
  counts: z.record(z.string(), z.int()),
  /** What is still open after the last record, by resolution. */
  openAggregates: z.array(z.int()),
  quarantined: z.array(z.record(z.string(), z.unknown())),
});

/** A row as it stands in `expected-rows.jsonl`; `closedBy` is the offset of the record that it came with. */
interface ReadableRow extends Readonly<Record<string, unknown>> {
  readonly sum: number;
  readonly m2: number;
}

function read(name: string, file: string): string {
  return readFileSync(new URL(`${name}/${file}`, FOLDER), 'utf8');
}

function readLines(name: string, file: string): unknown[] {
  return read(name, file)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

function recordOf(line: unknown, index: number): LogRecord {
  const planned = plannedRecord.parse(line);
  const { logTime } = planned;
  const offset = BigInt(index);
  if ('tick' in planned) return { offset, logTime, key: Buffer.alloc(0), value: encodeTick() };
  const text = 'raw' in planned ? planned.raw : JSON.stringify(planned.value);
  return { offset, logTime, key: Buffer.from(planned.key), value: Buffer.from(text) };
}

function readable(row: WindowAggregate, closedBy: number): ReadableRow {
  const { resolutionMs, deviceId, metric, windowStart, pane, aggregate } = row;
  const { distribution, ...figures } = aggregate;
  return {
    resolutionMs,
    deviceId,
    metric,
    windowStart,
    pane,
    closedBy,
    ...figures,
    ...readableDistribution(distribution),
  };
}

function readableDistribution(distribution: Distribution) {
  if (distribution.kind === 'raw') return { values: distribution.values.toSorted((a, b) => a - b) };
  const { positive, negative, zero } = distribution;
  return { sketch: { positive: inOrder(positive), negative: inOrder(negative), zero } };
}

function inOrder(buckets: ReadonlyMap<number, number>): (readonly [number, number])[] {
  return [...buckets].sort(([a], [b]) => a - b);
}

/** By resolution, device, metric, window and pane. */
function byIdentity(a: WindowAggregate, b: WindowAggregate): number {
  return (
    a.resolutionMs - b.resolutionMs ||
    compareText(a.deviceId, b.deviceId) ||
    compareText(a.metric, b.metric) ||
    a.windowStart - b.windowStart ||
    a.pane - b.pane
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** Sums may differ by rounding from what was computed with exact fractions; nothing else may. */
function withoutRounding(seen: ReadableRow, expected: ReadableRow | undefined): ReadableRow {
  if (expected === undefined) return seen;
  const { sum, m2 } = expected;
  return { ...seen, sum: isClose(seen.sum, sum) ? sum : seen.sum, m2: isClose(seen.m2, m2) ? m2 : seen.m2 };
}

function isClose(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-9 * Math.abs(b);
}

function foldCase(name: string) {
  const fold = config.parse(JSON.parse(read(name, 'config.json')));
  const state = createFoldState(fold.windowsMs.length);
  const output = createFoldOutput();
  const closedBy = new Map<WindowAggregate, number>();
  for (const [offset, record] of readLines(name, 'records.jsonl').map(recordOf).entries()) {
    const before = output.rows.length;
    step(fold, state, record, output);
    for (const row of output.rows.slice(before)) closedBy.set(row, offset);
  }
  const rows = output.rows.toSorted(byIdentity).map((row) => readable(row, closedBy.get(row) ?? -1));
  return { rows, output, openAggregates: state.levels.map((level) => level.openAggregates) };
}

const cases = readdirSync(FOLDER).map((name) => {
  const expected = outcome.parse(JSON.parse(read(name, 'expected-outcome.json')));
  return { name, ...expected };
});

test.each(cases)('$name: $rule', ({ name, counts, openAggregates, quarantined }) => {
  const seen = foldCase(name);
  const expectedRows = readLines(name, 'expected-rows.jsonl') as ReadableRow[];
  expect(seen.rows.map((row, index) => withoutRounding(row, expectedRows[index]))).toEqual(expectedRows);
  expect(seen.output.counts).toEqual(counts);
  expect(seen.openAggregates).toEqual(openAggregates);
  const places = seen.output.quarantined.map(({ reason, deviceId, offset, index }) => ({
    reason,
    deviceId,
    offset: Number(offset),
    index,
  }));
  expect(places).toEqual(quarantined);
});
