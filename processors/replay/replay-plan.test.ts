import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogRecord } from '../../event-log/event-log.ts';
import { FOLD_CONFIG, plannedRecords, recordsOf } from '../fold.fixture.ts';
import { createFoldOutput, step } from '../fold.ts';
import { type FoldConfig, paneStrideOf } from '../fold-config.ts';
import { identityOf } from '../fold-oracle.fixture.ts';
import { createFoldState, type LevelState } from '../fold-state.ts';
import { startLogTimeOf } from './replay-plan.ts';

/** Windows short enough for most of a sequence to lie before the start. */
const CONFIG: FoldConfig = { ...FOLD_CONFIG, windowsMs: [1_000, 2_000, 4_000], maxAheadMs: 1_000 };
const COARSEST_MS = 4_000;
const STRIDE = paneStrideOf(CONFIG, 1_000);
const manyRecords = fc.array(plannedRecords, { minLength: 4, maxLength: 8 });

function rowsInRange(records: readonly LogRecord[], config: FoldConfig, from: number, to: number) {
  const state = createFoldState(config.windowsMs.length);
  const output = createFoldOutput();
  for (const record of records) step(config, state, record, output);
  const rows = output.rows.filter(({ windowStart }) => windowStart >= from && windowStart < to);
  return new Map(rows.map((row) => [identityOf(row), row]));
}

test('for any sequence of records, a fold from the start of a replay gives the rows of the range, bit for bit', () => {
  let skipped = 0;
  fc.assert(
    fc.property(
      manyRecords,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: 3 * COARSEST_MS }),
      (planned, position, lengthMs) => {
        const records = recordsOf(planned.flat());
        const first = records[0]?.logTime ?? 0;
        const last = records.at(-2)?.logTime ?? first;
        const from = Math.floor(first + position * (last - first));
        const start = startLogTimeOf(CONFIG, from);
        const read = records.filter(({ logTime }) => logTime >= start);
        skipped += records.length - read.length;
        const to = from + lengthMs;
        expect(rowsInRange(read, CONFIG, from, to)).toEqual(rowsInRange(records, CONFIG, from, to));
      },
    ),
    { numRuns: 2_000 },
  );
  expect(skipped).toBeGreaterThan(1_000);
});

test('the same holds with panes that the budget closes early, as long as it did not before the range', () => {
  const config = { ...CONFIG, maxOpenAggregates: 9 };
  let forced = 0;
  fc.assert(
    fc.property(manyRecords, fc.double({ min: 0.3, max: 1, noNaN: true }), (planned, position) => {
      // Repetitions from before the start would open late panes, before the range, that only this fold has.
      const records = recordsOf(planned.flat().map((record) => ({ ...record, resends: 0 })));
      const first = records[0]?.logTime ?? 0;
      const from = Math.floor(first + position * ((records.at(-2)?.logTime ?? first) - first));
      const start = startLogTimeOf(config, from);
      fc.pre(!isExhausted(records, config, start, from - config.maxAheadMs));
      const to = from + 10 * COARSEST_MS;
      const read = records.filter(({ logTime }) => logTime >= start);
      const rows = rowsInRange(records, config, from, to);
      forced += [...rows.values()].filter(({ pane }) => pane >= STRIDE).length;
      expect(rowsInRange(read, config, from, to)).toEqual(rows);
    }),
    { numRuns: 300 },
  );
  expect(forced).toBeGreaterThan(10);
});

/** Whether the budget bites at a record between two log times: closes panes early or refuses a message. */
function isExhausted(records: readonly LogRecord[], config: FoldConfig, from: number, to: number): boolean {
  const state = createFoldState(config.windowsMs.length);
  for (const record of records) {
    const before = state.levels.map(({ forced }) => ({ ...forced }));
    const output = createFoldOutput();
    step(config, state, record, output);
    if (record.logTime < from || record.logTime >= to) continue;
    if (output.quarantined.some(({ reason }) => reason === 'budget_exceeded')) return true;
    const wasForced = ({ forced }: LevelState, index: number) =>
      forced.until !== before[index]?.until || forced.count !== before[index]?.count;
    if (state.levels.some(wasForced)) return true;
  }
  return false;
}
