import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeQuarantineEvent } from '../../event-log/quarantine-event.ts';
import {
  type Aggregate,
  addReading,
  createAggregate,
  mergeAggregates,
} from '../../metric-store/aggregate.ts';
import { MAX_RAW_VALUES } from '../../metric-store/distribution.ts';
import { FOLD_CONFIG, plannedRecords, recordsOf } from '../fold.fixture.ts';
import { createFoldOutput, step } from '../fold.ts';
import { createFoldState } from '../fold-state.ts';
import { repetitionsIn } from './device-messages.ts';
import { differingFields } from './differing-fields.ts';
import { expectedWindows, readingsByTime } from './expected-windows.ts';
import { MessageCollector } from './message-collector.ts';
import { QuarantinePositions } from './quarantine-positions.ts';

const EVER = { from: 0, to: 9e12 };

function collect(records: ReturnType<typeof recordsOf>): MessageCollector {
  const { graceMs, maxAheadMs, maxAgeMs } = FOLD_CONFIG;
  const quarantined = new QuarantinePositions(EVER.from, EVER.to);
  const limits = { graceMs, maxAheadMs, maxAgeMs, maxKept: 1_000_000 };
  const collector = new MessageCollector({ ...limits, quarantined, keep: EVER, count: EVER });
  for (const record of records) collector.add(0, record);
  return collector;
}

/** The fold's windows of one size, panes merged, by `device metric start`. */
function foldedWindows(records: ReturnType<typeof recordsOf>, sizeMs: number): Map<string, Aggregate> {
  const state = createFoldState(FOLD_CONFIG.windowsMs.length);
  const output = createFoldOutput();
  for (const record of records) step(FOLD_CONFIG, state, record, output);
  const windows = new Map<string, Aggregate>();
  for (const { deviceId, metric, windowStart, resolutionMs, aggregate } of output.rows) {
    if (resolutionMs !== sizeMs) continue;
    const id = `${deviceId} ${metric} ${windowStart}`;
    const present = windows.get(id);
    windows.set(id, present === undefined ? aggregate : mergeAggregates(present, aggregate));
  }
  return windows;
}

test.each(FOLD_CONFIG.windowsMs)(
  'for any sequence of records, windows of %i ms are those of the fold',
  (sizeMs) => {
    fc.assert(
      fc.property(plannedRecords, (planned) => {
        const records = recordsOf(planned);
        const folded = foldedWindows(records, sizeMs);
        let compared = 0;
        for (const [deviceId, device] of collect(records).devices) {
          const repetitions = repetitionsIn(device);
          for (const [metric, series] of device.series) {
            for (const window of expectedWindows(
              readingsByTime(series, device, repetitions),
              sizeMs,
            ).values()) {
              const seen = folded.get(`${deviceId} ${metric} ${window.windowStart}`);
              expect(seen).toBeDefined();
              if (seen !== undefined) expect(differingFields(window, seen)).toEqual([]);
              compared++;
            }
          }
        }
        expect(compared).toBe(folded.size);
      }),
      { numRuns: 1_000 },
    );
  },
);

function windowOf(values: readonly number[]) {
  const readings = values.map((value, index) => ({ timestamp: index, value, settled: index }));
  const [window] = expectedWindows(readings, 1_000_000).values();
  if (window === undefined) throw new Error('there is no window');
  return window;
}

function aggregateOf([first = 0, ...rest]: readonly number[]): Aggregate {
  const aggregate = createAggregate(first, 0);
  for (const [index, value] of rest.entries()) addReading(aggregate, value, index + 1);
  return aggregate;
}

const MANY = Array.from({ length: 1_000 }, (_, index) => ((index * 7_919) % 1_000) - 300);

test('a sketch is equal within its error, and only that', () => {
  expect(MANY.length).toBeGreaterThan(MAX_RAW_VALUES);
  const seen = aggregateOf(MANY);
  expect(differingFields(windowOf(MANY), seen)).toEqual([]);
  const other = aggregateOf(MANY.map((value) => value * 1.021));
  const fields = differingFields(windowOf(MANY), { ...seen, distribution: other.distribution });
  expect(fields.map(({ field }) => field)).toEqual(expect.arrayContaining(['p50', 'p99']));
});

test('a sketch with values of every size is equal', () => {
  const values = Array.from(
    { length: 500 },
    (_, index) => (index % 2 === 0 ? 1 : -1) * 10 ** ((index % 60) - 30),
  );
  expect(differingFields(windowOf(values), aggregateOf(values))).toEqual([]);
});

test('sums beyond the range of a double are equal at its edge', () => {
  const values = [Number.MAX_VALUE, Number.MAX_VALUE, 1];
  expect(differingFields(windowOf(values), aggregateOf(values))).toEqual([]);
});

test('code that verifies shares nothing with the fold that it checks', () => {
  const folder = new URL('.', import.meta.url);
  const sources = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  expect(sources.length).toBeGreaterThan(5);
  for (const name of sources) {
    const source = readFileSync(new URL(name, folder), 'utf8');
    expect(source, name).not.toMatch(
      /from '\.\.\/(fold|levels|window|duplicates|sequence-window|payload-memory|fold-state)\.ts'/,
    );
  }
});

test('more quarantined messages than are held are refused', () => {
  const positions = new QuarantinePositions(EVER.from, EVER.to, 2);
  const add = (offset: bigint) => {
    const origin = { kind: 'record', partition: 0, offset, index: 0 } as const;
    const event = { reason: 'too_old', detail: '', origin, received: 0, payload: Buffer.alloc(0) } as const;
    positions.add({ offset, logTime: 0, key: Buffer.alloc(0), value: encodeQuarantineEvent(event) });
  };
  add(1n);
  add(2n);
  add(2n);
  expect(() => add(3n)).toThrow(expect.objectContaining({ code: 'PROCESSOR_RANGE_TOO_LARGE' }));
});

test('-0 is the reading 0', () => {
  const record = {
    offset: 0n,
    logTime: 1_000,
    key: Buffer.from('d'),
    value: Buffer.from('{"v":1,"received":1000,"data":{"metrics":{"t":-0}}}'),
  };
  const values = collect([record]).devices.get('d')?.series.get('t')?.values ?? [];
  expect(Object.is(values[0], 0)).toBe(true);
});
