import { deserialize, serialize } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../event-log/event-log.ts';
import { encodeTelemetryEvent, encodeTick } from '../event-log/telemetry-event.ts';
import { type Aggregate, mergeAggregates } from '../metric-store/aggregate.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { createFoldOutput, type FoldConfig, type FoldOutput, step } from './fold.ts';
import { FOLD_CONFIG, plannedRecords, recordsOf } from './fold.fixture.ts';
import { type ExpectedWindow, expectedWindows, identityOf, windowOf } from './fold-oracle.fixture.ts';
import { decodeFoldPosition, encodeFoldPosition } from './fold-position.ts';
import { createFoldState, earliestNeeded, type FoldState, START_OF_LOG } from './fold-state.ts';

/** Doubles this small have lost their precision. */
const TINY = 1e-300;

function foldAll(records: readonly LogRecord[], config: FoldConfig = FOLD_CONFIG): FoldOutput {
  const state = createFoldState();
  const output = createFoldOutput();
  for (const record of records) step(config, state, record, output);
  return output;
}

function mergedWindows(rows: readonly WindowAggregate[]): Map<string, Aggregate> {
  const merged = new Map<string, Aggregate>();
  for (const row of rows) {
    const present = merged.get(windowOf(row));
    merged.set(
      windowOf(row),
      present === undefined ? row.aggregate : mergeAggregates(present, row.aggregate),
    );
  }
  return merged;
}

function expectEqual(seen: Aggregate | undefined, expected: ExpectedWindow): void {
  expect(seen).toBeDefined();
  if (seen === undefined) return;
  const { count, min, max, first, last } = expected;
  expect({ count: seen.count, min: seen.min, max: seen.max, first: seen.first, last: seen.last }).toEqual({
    count,
    min,
    max,
    first,
    last,
  });
  expect(Math.abs(seen.sum - expected.sum)).toBeLessThanOrEqual(1e-9 * expected.sumOfMagnitudes + TINY);
  // Where all values are nearly equal, rounding of the values themselves outweighs their deviations.
  const rounding = 1e-15 * (expected.sumOfMagnitudes ** 2 / count);
  expect(Math.abs(seen.m2 - expected.m2)).toBeLessThanOrEqual(1e-9 * expected.m2 + rounding + TINY);
  if (seen.distribution.kind === 'raw')
    expect([...seen.distribution.values].sort((a, b) => a - b)).toEqual(expected.values);
}

describe('for any sequence of records', () => {
  test('the merged panes equal what a naive oracle computes from all readings at once', () => {
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const records = recordsOf(planned);
        const expected = expectedWindows(records, FOLD_CONFIG);
        const merged = mergedWindows(foldAll(records).rows);
        expect([...merged.keys()].sort()).toEqual([...expected.keys()].sort());
        for (const [window, aggregate] of expected) expectEqual(merged.get(window), aggregate);
      }),
      { numRuns: 2_000 },
    );
  });

  test('no pane is emitted twice', () => {
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const identities = foldAll(recordsOf(planned)).rows.map(identityOf);
        expect(new Set(identities).size).toBe(identities.length);
      }),
      { numRuns: 500 },
    );
  });

  test('every message is either folded or quarantined', () => {
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const { counts, quarantined } = foldAll(recordsOf(planned));
        const sent = planned.reduce((total, { messages }) => total + messages.length, 0);
        expect(counts.messages + quarantined.length).toBe(sent);
      }),
      { numRuns: 500 },
    );
  });

  test('restarting from any stored position leaves the same rows, bit for bit', () => {
    fc.assert(
      fc.property(plannedRecords, fc.array(fc.nat(60), { maxLength: 6 }), (planned, crashes) => {
        const records = recordsOf(planned);
        const uninterrupted = new Map(foldAll(records).rows.map((row) => [identityOf(row), row]));
        expect(foldWithRestarts(records, new Set(crashes))).toEqual(uninterrupted);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a state that was serialised and read back goes on as if nothing had happened', () => {
    fc.assert(
      fc.property(plannedRecords, fc.nat(60), (planned, cut) => {
        const records = recordsOf(planned);
        let state: FoldState = createFoldState();
        const output = createFoldOutput();
        records.forEach((record, index) => {
          if (index === cut) state = deserialize(serialize(state));
          step(FOLD_CONFIG, state, record, output);
        });
        expect(output.rows).toEqual(foldAll(records).rows);
      }),
      { numRuns: 500 },
    );
  });
});

/**
 * Stores rows by identity, as a metric store does. At the records named in `crashes` the process dies once: its state
 * is gone, and the next one starts from the position that was stored last.
 */
function foldWithRestarts(
  records: readonly LogRecord[],
  crashes: ReadonlySet<number>,
): Map<string, WindowAggregate> {
  const stored = new Map<string, WindowAggregate>();
  const pendingCrashes = new Set(crashes);
  let commit = encodeFoldPosition({ start: START_OF_LOG, outputFrom: 0n }, FOLD_CONFIG);
  let position = decodeFoldPosition(commit, FOLD_CONFIG);
  let state = createFoldState(position.start);
  for (let index = 0; index < records.length; index++) {
    const record = records[index] as LogRecord;
    const output = createFoldOutput();
    step(FOLD_CONFIG, state, record, output);
    if (record.offset < position.outputFrom) continue;
    for (const row of output.rows) stored.set(identityOf(row), row);
    if (index % 3 === 0) {
      commit = encodeFoldPosition(
        { start: earliestNeeded(state), outputFrom: state.nextOffset },
        FOLD_CONFIG,
      );
    }
    if (pendingCrashes.delete(index)) {
      position = decodeFoldPosition(commit, FOLD_CONFIG);
      state = createFoldState(position.start);
      index = Number(commit.offset) - 1;
    }
  }
  return stored;
}

describe('a message', () => {
  const at = 1_732_460_005_000;
  const recordWith = (payload: unknown, offset = 0n, logTime = at): LogRecord => ({
    offset,
    logTime,
    key: Buffer.from('d1'),
    value: encodeTelemetryEvent(at - 40, Buffer.from(JSON.stringify(payload))),
  });
  const tick = (logTime: number): LogRecord => ({
    offset: 9n,
    logTime,
    key: Buffer.alloc(0),
    value: Buffer.from('{"v":1,"tick":true}'),
  });

  test('without ts is counted at the time the gateway received it', () => {
    const { rows } = foldAll([recordWith({ metrics: { t: 1 } }), tick(at + 60_000)]);
    expect(rows[0]?.aggregate.firstAt).toBe(at - 40);
  });

  test('counts booleans as 0 and 1 and skips what is no number', () => {
    const { rows, counts } = foldAll([
      recordWith({ metrics: { door: true, label: 'x', t: null, l: [1] } }),
      tick(at + 60_000),
    ]);
    expect(rows.map(({ metric, aggregate }) => [metric, aggregate.sum])).toEqual([['door', 1]]);
    expect(counts.skipped).toBe(3);
  });

  test('too far ahead is quarantined with its place, the rest of its array is folded', () => {
    const { rows, quarantined } = foldAll([
      recordWith([
        { ts: at, metrics: { t: 1 } },
        { ts: at + 5_001, metrics: { t: 2 } },
      ]),
      tick(at + 60_000),
    ]);
    expect(rows).toHaveLength(1);
    expect(quarantined).toMatchObject([{ reason: 'too_far_ahead', deviceId: 'd1', offset: 0n, index: 1 }]);
    expect(JSON.parse(quarantined[0]?.payload.toString() ?? '')).toEqual({
      ts: at + 5_001,
      metrics: { t: 2 },
    });
  });

  test('exactly as old and as far ahead as allowed is folded', () => {
    const messages = [
      { ts: at - 20_000, metrics: { t: 1 } },
      { ts: at + 5_000, metrics: { t: 2 } },
    ];
    expect(foldAll([recordWith(messages), tick(at + 60_000)]).rows).toHaveLength(2);
  });

  test('of 1970 is quarantined as too old', () => {
    expect(foldAll([recordWith({ ts: 0, metrics: { t: 1 } })]).quarantined).toMatchObject([
      { reason: 'too_old' },
    ]);
  });

  test('that would exceed the budget of open aggregates is quarantined, and open ones go on', () => {
    const config = { ...FOLD_CONFIG, maxOpenAggregates: 1 };
    const { rows, quarantined } = foldAll(
      [recordWith({ metrics: { t: 1 } }), recordWith({ metrics: { u: 1 } }, 1n), tick(at + 60_000)],
      config,
    );
    expect(rows).toHaveLength(1);
    expect(quarantined).toMatchObject([{ reason: 'budget_exceeded', offset: 1n }]);
  });

  test('that cannot be decoded is quarantined with its bytes', () => {
    const record: LogRecord = { ...recordWith({}), value: Buffer.from('{"v":7}') };
    const { quarantined } = foldAll([record]);
    expect(quarantined).toMatchObject([{ reason: 'undecodable_event', detail: 'unknown event version 7' }]);
    expect(quarantined[0]?.payload.toString()).toBe('{"v":7}');
  });
});

describe('a pane', () => {
  const opened: LogRecord = {
    offset: 0n,
    logTime: 1_732_460_005_000,
    key: Buffer.from('d1'),
    value: encodeTelemetryEvent(1_732_460_005_000, Buffer.from('{"metrics":{"t":1}}')),
  };
  const tickAt = (logTime: number): LogRecord => ({
    offset: 1n,
    logTime,
    key: Buffer.alloc(0),
    value: encodeTick(),
  });

  test('stays open while the watermark is a millisecond before the end of its window', () => {
    expect(foldAll([opened, tickAt(1_732_460_006_299)]).rows).toEqual([]);
  });

  test('is emitted by the record that brings the watermark to the end of its window', () => {
    expect(foldAll([opened, tickAt(1_732_460_006_300)]).rows).toMatchObject([
      { deviceId: 'd1', metric: 't', resolutionMs: 1_000, windowStart: 1_732_460_005_000, pane: 0 },
    ]);
  });
});

describe('a stored position', () => {
  test('of another configuration is refused with the way out', () => {
    const commit = encodeFoldPosition({ start: { offset: 5n, logTime: 7 }, outputFrom: 9n }, FOLD_CONFIG);
    expect(() => decodeFoldPosition(commit, { ...FOLD_CONFIG, windowMs: 2_000 })).toThrow(
      /set processor.group to a new name/,
    );
  });

  test('that this version did not write is refused', () => {
    expect(() => decodeFoldPosition({ offset: 5n, metadata: '' }, FOLD_CONFIG)).toThrow(
      /not a fold position/,
    );
    expect(() => decodeFoldPosition({ offset: 5n, metadata: '{"v":2}' }, FOLD_CONFIG)).toThrow(
      /of version 1/,
    );
  });

  test('survives being stored', () => {
    const position = { start: { offset: 5n, logTime: 7 }, outputFrom: 12_345_678_901_234_567_890n };
    expect(decodeFoldPosition(encodeFoldPosition(position, FOLD_CONFIG), FOLD_CONFIG)).toEqual(position);
  });
});
