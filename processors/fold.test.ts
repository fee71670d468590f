import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../event-log/event-log.ts';
import { encodeTelemetryEvent, encodeTick } from '../event-log/telemetry-event.ts';
import { type Aggregate, mergeAggregates } from '../metric-store/aggregate.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { FOLD_CONFIG, plannedRecords, recordsOf } from './fold.fixture.ts';
import { createFoldOutput, type FoldOutput, step } from './fold.ts';
import type { FoldConfig } from './fold-config.ts';
import {
  acceptedMessages,
  type ExpectedWindow,
  expectedWindows,
  identityOf,
  windowOf,
} from './fold-oracle.fixture.ts';
import { createFoldState, type FoldState, openAggregatesOf } from './fold-state.ts';

/** Doubles this small have lost their precision. */
const TINY = 1e-300;

function foldAll(records: readonly LogRecord[], config: FoldConfig = FOLD_CONFIG): FoldOutput {
  const state = createFoldState(config.windowsMs.length);
  const output = createFoldOutput();
  for (const record of records) step(config, state, record, output);
  return output;
}

/** As `foldAll`, with the rows of the finest windows only. */
function foldFinest(records: readonly LogRecord[], config: FoldConfig = FOLD_CONFIG): FoldOutput {
  const output = foldAll(records, config);
  return { ...output, rows: output.rows.filter(({ resolutionMs }) => resolutionMs === config.windowsMs[0]) };
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
  test.each(FOLD_CONFIG.windowsMs)(
    'the merged panes of %i ms equal what a naive oracle computes from all readings at once',
    (windowMs) => {
      fc.assert(
        fc.property(plannedRecords, (planned) => {
          const records = recordsOf(planned);
          const expected = expectedWindows(records, FOLD_CONFIG, windowMs);
          const merged = mergedWindows(
            foldAll(records).rows.filter(({ resolutionMs }) => resolutionMs === windowMs),
          );
          expect([...merged.keys()].sort()).toEqual([...expected.keys()].sort());
          for (const [window, aggregate] of expected) expectEqual(merged.get(window), aggregate);
        }),
        { numRuns: 4_000 },
      );
    },
  );

  test('the same holds when panes have to be closed early, and nothing is quarantined for it', () => {
    const config = { ...FOLD_CONFIG, maxOpenAggregates: 12 };
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const records = recordsOf(planned);
        const { rows, quarantined } = foldAll(records, config);
        fc.pre(!quarantined.some(({ reason }) => reason === 'budget_exceeded'));
        const identities = rows.map(identityOf);
        expect(new Set(identities).size).toBe(identities.length);
        for (const windowMs of config.windowsMs) {
          const merged = mergedWindows(rows.filter(({ resolutionMs }) => resolutionMs === windowMs));
          const expected = expectedWindows(records, config, windowMs);
          for (const [window, aggregate] of expected) expectEqual(merged.get(window), aggregate);
        }
      }),
      { numRuns: 4_000 },
    );
  });

  test('no more aggregates are open than the budget says, of all resolutions together', () => {
    const config = { ...FOLD_CONFIG, maxOpenAggregates: 7 };
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const state = createFoldState(config.windowsMs.length);
        for (const record of recordsOf(planned)) {
          step(config, state, record, createFoldOutput());
          expect(openAggregatesOf(state)).toBeLessThanOrEqual(config.maxOpenAggregates);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('nothing is left open, and nothing counted as open, once log time has passed it all', () => {
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const state = createFoldState(FOLD_CONFIG.windowsMs.length);
        for (const record of recordsOf(planned)) step(FOLD_CONFIG, state, record, createFoldOutput());
        for (const level of state.levels)
          expect(level).toMatchObject({ openAggregates: 0, panes: new Map(), closing: new Map() });
      }),
      { numRuns: 500 },
    );
  });

  test('readings on time are in pane 0 of every window size', () => {
    const punctual = fc.array(fc.record({ waitMs: fc.integer({ min: 0, max: 3_000 }) }), { maxLength: 100 });
    fc.assert(
      fc.property(punctual, (waits) => {
        const messages = [{ ageMs: 0, metrics: { temperature: 1 } }];
        const records = recordsOf(
          waits.map(({ waitMs }) => ({ waitMs, resends: 0, deviceId: 'counting-a', messages })),
        );
        expect(foldAll(records).rows.every(({ pane }) => pane === 0)).toBe(true);
      }),
      { numRuns: 500 },
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

  test('every message is folded, recognised as a duplicate, or quarantined', () => {
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const records = recordsOf(planned);
        const { counts, quarantined } = foldAll(records);
        expect(counts.messages).toBe(acceptedMessages(records, FOLD_CONFIG).length);
        expect(counts.messages + counts.duplicates + quarantined.length).toBe(messagesIn(records));
      }),
      { numRuns: 500 },
    );
  });

  test('restarting from any earlier checkpoint leaves the same rows, bit for bit', () => {
    fc.assert(
      fc.property(
        plannedRecords,
        fc.array(fc.nat(60), { maxLength: 6 }),
        fc.infiniteStream(fc.nat(9)),
        (planned, crashes, ages) => {
          const records = recordsOf(planned);
          const uninterrupted = new Map(foldAll(records).rows.map((row) => [identityOf(row), row]));
          expect(foldWithRestarts(records, new Set(crashes), ages)).toEqual(uninterrupted);
        },
      ),
      { numRuns: 4_000 },
    );
  });

  test('any order of arrival within the same log time gives the same merged aggregates', () => {
    fc.assert(
      fc.property(plannedRecords, fc.array(fc.nat()), (planned, keys) => {
        const records = recordsOf(planned.map((record) => ({ ...record, waitMs: 0, resends: 0 })));
        const shuffled = shuffle(records.slice(0, -1), keys).map((record, index) => ({
          ...record,
          offset: BigInt(index),
        }));
        for (const windowMs of FOLD_CONFIG.windowsMs) {
          const expected = expectedWindows(records, FOLD_CONFIG, windowMs);
          const rows = foldAll([...shuffled, ...records.slice(-1)]).rows;
          const merged = mergedWindows(rows.filter(({ resolutionMs }) => resolutionMs === windowMs));
          for (const [window, aggregate] of expected) expectEqual(merged.get(window), aggregate);
        }
      }),
      { numRuns: 500 },
    );
  });
});

function messagesIn(records: readonly LogRecord[]): number {
  return records.reduce((sum, { value }) => {
    const { tick, data } = JSON.parse(value.toString());
    return sum + (tick ? 0 : Array.isArray(data) ? data.length : 1);
  }, 0);
}

function shuffle<T>(items: readonly T[], keys: readonly number[]): T[] {
  const keyed = items.map((item, index) => ({ item, key: keys[index] ?? 0 }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/**
 * Stores rows by identity, as a metric store does, and keeps a checkpoint after every record. At the records named in
 * `crashes` the process dies once: its state is gone, and the next one starts from one of the latest checkpoints.
 */
function foldWithRestarts(
  records: readonly LogRecord[],
  crashes: ReadonlySet<number>,
  ages: Iterator<number>,
): Map<string, WindowAggregate> {
  const stored = new Map<string, WindowAggregate>();
  const pendingCrashes = new Set(crashes);
  let state: FoldState = createFoldState(FOLD_CONFIG.windowsMs.length);
  const checkpoints = [encodeCheckpoint(state, FOLD_CONFIG)];
  for (let index = 0; index < records.length; index++) {
    const output = createFoldOutput();
    step(FOLD_CONFIG, state, records[index] as LogRecord, output);
    for (const row of output.rows) stored.set(identityOf(row), row);
    checkpoints.push(encodeCheckpoint(state, FOLD_CONFIG));
    if (pendingCrashes.delete(index)) {
      const age = Number(ages.next().value);
      checkpoints.length = Math.max(1, checkpoints.length - age);
      state = decodeCheckpoint(checkpoints.at(-1) as Buffer, FOLD_CONFIG);
      index = Number(state.nextOffset) - 1;
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
    const { rows } = foldFinest([recordWith({ metrics: { t: 1 } }), tick(at + 60_000)]);
    expect(rows[0]?.aggregate.firstAt).toBe(at - 40);
  });

  test('counts booleans as 0 and 1 and skips what is no number', () => {
    const { rows, counts } = foldFinest([
      recordWith({ metrics: { door: true, label: 'x', t: null, l: [1] } }),
      tick(at + 60_000),
    ]);
    expect(rows.map(({ metric, aggregate }) => [metric, aggregate.sum])).toEqual([['door', 1]]);
    expect(counts.skipped).toBe(3);
  });

  test('too far ahead is quarantined with its place, the rest of its array is folded', () => {
    const { rows, quarantined } = foldFinest([
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
    expect(foldFinest([recordWith(messages), tick(at + 60_000)]).rows).toHaveLength(2);
  });

  test('of 1970 is quarantined as too old', () => {
    expect(foldFinest([recordWith({ ts: 0, metrics: { t: 1 } })]).quarantined).toMatchObject([
      { reason: 'too_old' },
    ]);
  });

  test('that would exceed the budget of open aggregates is quarantined, and open ones go on', () => {
    const config = { ...FOLD_CONFIG, maxOpenAggregates: 1 };
    const { rows, quarantined } = foldFinest(
      [recordWith({ metrics: { t: 1 } }), recordWith({ metrics: { u: 1 } }, 1n), tick(at + 60_000)],
      config,
    );
    expect(rows).toHaveLength(1);
    expect(quarantined).toMatchObject([{ reason: 'budget_exceeded', offset: 1n }]);
  });

  test('whose number and time were seen is a duplicate even when the budget is exhausted', () => {
    const config = { ...FOLD_CONFIG, maxOpenAggregates: 1 };
    const message = { ts: at, seq: 1, metrics: { t: 1 } };
    const { counts, quarantined } = foldFinest([recordWith(message), recordWith(message, 1n)], config);
    expect(quarantined).toEqual([]);
    expect(counts).toMatchObject({ messages: 1, duplicates: 1 });
  });

  test('that was refused for the budget counts when it comes again, once', () => {
    const config = { ...FOLD_CONFIG, maxOpenAggregates: 1 };
    const message = { ts: at, seq: 1, metrics: { u: 2 } };
    const first = [recordWith({ metrics: { t: 1 } }), recordWith(message, 1n), tick(at + 60_000)];
    const again = [
      recordWith(message, 10n, at + 10_000),
      recordWith(message, 11n, at + 10_000),
      tick(at + 90_000),
    ];
    const { counts, quarantined } = foldAll([...first.slice(0, 2), ...again], {
      ...config,
      windowsMs: [1_000],
    });
    expect(quarantined).toMatchObject([{ reason: 'budget_exceeded', offset: 1n }]);
    expect(counts).toMatchObject({ messages: 2, duplicates: 1 });
  });

  test.each([65, 2_000])(
    'in an array of %i without numbers counts once, however often it is delivered',
    (size) => {
      const payload = Array.from({ length: size }, (_, i) => ({ ts: at - (i % 1_000), metrics: { t: i } }));
      const { counts } = foldAll([recordWith(payload), recordWith(payload, 1n), tick(at + 60_000)]);
      expect(counts).toMatchObject({ messages: size, duplicates: size });
    },
  );

  test('in an array of more numbers than are remembered counts once', () => {
    const payload = Array.from({ length: 2_000 }, (_, seq) => ({ ts: at + seq, seq, metrics: { t: seq } }));
    const { counts } = foldAll([recordWith(payload), recordWith(payload, 1n), tick(at + 60_000)]);
    expect(counts).toMatchObject({ messages: 2_000, duplicates: 2_000 });
  });

  test('with neither number nor time counts each time, also in an array', () => {
    const payload = [{ metrics: { t: 1 } }, { metrics: { t: 2 } }];
    const { counts } = foldAll([recordWith(payload), recordWith(payload, 1n), tick(at + 60_000)]);
    expect(counts).toMatchObject({ messages: 4, duplicates: 0 });
  });

  test('that cannot be decoded is quarantined with its bytes', () => {
    const record: LogRecord = { ...recordWith({}), value: Buffer.from('{"v":7}') };
    const { quarantined } = foldFinest([record]);
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
    expect(foldFinest([opened, tickAt(1_732_460_006_299)]).rows).toEqual([]);
  });

  test('is emitted by the record that brings the watermark to the end of its window', () => {
    expect(foldFinest([opened, tickAt(1_732_460_006_300)]).rows).toMatchObject([
      { deviceId: 'd1', metric: 't', resolutionMs: 1_000, windowStart: 1_732_460_005_000, pane: 0 },
    ]);
  });
});
