import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { foldOn, foldRun, reachableState, sealed } from './checkpoint.fixture.ts';
import { decodeCheckpoint, decodeTerms, encodeCheckpoint } from './checkpoint.ts';
import { GOLDEN_CONFIG, goldenState, HOUR } from './checkpoint-golden.fixture.ts';
import { CheckpointVersionError, FoldConfigChangedError } from './errors.ts';
import { createFoldState, type FoldState, type LevelState } from './fold-state.ts';

const GOLDEN = new URL('fixtures/checkpoint-v2.hex', import.meta.url);
const VERSION_1 = new URL('fixtures/checkpoint-v1.hex', import.meta.url);

describe('any state that the fold can reach', () => {
  test('comes back, and is encoded as before', () => {
    fc.assert(
      fc.property(reachableState, ({ config, state }) => {
        const bytes = encodeCheckpoint(state, config);
        const decoded = decodeCheckpoint(bytes, config);
        expect(decoded).toEqual(state);
        expect(encodeCheckpoint(decoded, config).equals(bytes)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('goes on after a restart as if nothing had happened, bit for bit', () => {
    fc.assert(
      fc.property(foldRun, fc.array(fc.nat(40), { maxLength: 5 }), ({ config, records }, restarts) => {
        const live = createFoldState(config.windowsMs.length);
        let restarted = createFoldState(config.windowsMs.length);
        records.forEach((record, index) => {
          if (restarts.includes(index)) {
            restarted = decodeCheckpoint(encodeCheckpoint(restarted, config), config);
          }
          expect(foldOn(config, restarted, [record])).toEqual(foldOn(config, live, [record]));
        });
        expect(encodeCheckpoint(restarted, config)).toEqual(encodeCheckpoint(live, config));
      }),
      { numRuns: 200 },
    );
  });

  test('is encoded alike in whatever order its devices and windows came', () => {
    fc.assert(
      fc.property(reachableState, ({ config, state }) => {
        expect(encodeCheckpoint(turnedRound(state), config)).toEqual(encodeCheckpoint(state, config));
      }),
    );
  });

  test('has every open pane among those that will close, and shares it', () => {
    fc.assert(
      fc.property(reachableState, ({ config, state }) => {
        for (const level of decodeCheckpoint(encodeCheckpoint(state, config), config).levels) {
          const closing = new Set([...level.closing.values()].flat());
          const open = [...level.panes.values()].flatMap((panes) => [...panes.values()]);
          expect(open.every((pane) => closing.has(pane))).toBe(true);
          expect(open).toHaveLength(closing.size);
        }
      }),
    );
  });

  test('shares no memory with the bytes', () => {
    const bytes = encodeCheckpoint(goldenState(), GOLDEN_CONFIG);
    const decoded = decodeCheckpoint(bytes, GOLDEN_CONFIG);
    bytes.fill(0xff);
    expect(decoded).toEqual(goldenState());
  });
});

test('the generated states hold all that a state can hold', () => {
  const found = new Set<string>();
  for (const { state } of fc.sample(reachableState, { numRuns: 400, seed: 1 })) {
    for (const part of partsOf(state)) found.add(part);
  }
  expect([...found].sort()).toEqual(
    ['forced', 'forgotten', 'late', 'none', 'payloads', 'raw', 'rotated', 'sketch', 'two runs'].sort(),
  );
});

test('values are kept bit for bit, -0 among them', () => {
  const values = [
    -0,
    0,
    Number.MIN_VALUE,
    -Number.MAX_VALUE,
    0.1 + 0.2,
    2 ** 53,
    21.53,
    1e-9,
    5e-10,
    1e15 + 0.5,
  ];
  for (const value of values) {
    const state = goldenState();
    for (const aggregate of state.levels[2]?.panes.get('counts')?.get(HOUR)?.metrics.values() ?? []) {
      Object.assign(aggregate, { sum: value, m2: value, min: value, max: value, first: value, last: value });
    }
    for (const aggregate of state.levels[0]?.panes
      .get('counts')
      ?.get(HOUR + 150_000)
      ?.metrics.values() ?? []) {
      const distribution = { kind: 'raw', values: [value, value] };
      Object.assign(aggregate, { count: 2, sum: value, m2: value, min: value, max: value });
      Object.assign(aggregate, { first: value, last: value, distribution });
    }
    expect(decodeCheckpoint(encodeCheckpoint(state, GOLDEN_CONFIG), GOLDEN_CONFIG)).toEqual(state);
  }
  expect(() => expect(-0).toEqual(0)).toThrow();
});

test('the order of panes that close together and of metrics in a pane is kept', () => {
  const state = goldenState();
  const [level] = state.levels;
  const [group] = level?.closing.values() ?? [];
  const expected = encodeCheckpoint(state, GOLDEN_CONFIG);
  group?.reverse();
  const reversed = encodeCheckpoint(state, GOLDEN_CONFIG);
  expect(reversed).not.toEqual(expected);
  const [decoded] = decodeCheckpoint(reversed, GOLDEN_CONFIG).levels;
  expect([...(decoded?.closing.values() ?? [])][0]).toEqual(group);

  const metrics = group?.find((pane) => pane.metrics.size > 1)?.metrics ?? new Map();
  const reversedMetrics = [...metrics].reverse();
  metrics.clear();
  for (const [metric, aggregate] of reversedMetrics) metrics.set(metric, aggregate);
  expect(encodeCheckpoint(state, GOLDEN_CONFIG)).not.toEqual(reversed);
});

describe('the bytes of version 2', () => {
  const golden = readFileSync(GOLDEN, 'utf8').replace(/#.*$/gm, '').replace(/\s/g, '');

  test('are written', () => {
    expect(encodeCheckpoint(goldenState(), GOLDEN_CONFIG).toString('hex')).toBe(golden);
  });

  test('are read', () => {
    expect(decodeCheckpoint(Buffer.from(golden, 'hex'), GOLDEN_CONFIG)).toEqual(goldenState());
  });

  test('of another version are refused as such', () => {
    const bytes = Buffer.from(golden, 'hex');
    bytes.writeUInt32LE(3, 4);
    expect(() => decodeCheckpoint(sealed(bytes), GOLDEN_CONFIG)).toThrow(CheckpointVersionError);
    expect(() => decodeCheckpoint(bytes, GOLDEN_CONFIG)).toThrow(/of version 3.*reads version 2/);
  });
});

test('a checkpoint of version 1 is refused by name', () => {
  const hex = readFileSync(VERSION_1, 'utf8').replace(/#.*$/gm, '').replace(/\s/g, '');
  expect(() => decodeCheckpoint(Buffer.from(hex, 'hex'), GOLDEN_CONFIG)).toThrow(CheckpointVersionError);
});

describe('a checkpoint of another configuration', () => {
  const bytes = encodeCheckpoint(goldenState(), GOLDEN_CONFIG);

  test.each([
    { windowsMs: [10_000, 60_000] },
    { windowsMs: [10_000, 30_000, 3_600_000] },
    { graceMs: 1 },
    { maxAheadMs: 1 },
    { maxAgeMs: 1 },
  ])('with %o is refused with the settings and the way out', (change) => {
    const decode = () => decodeCheckpoint(bytes, { ...GOLDEN_CONFIG, ...change });
    expect(decode).toThrow(FoldConfigChangedError);
    expect(decode).toThrow(
      /windows=10000,60000,3600000 grace=2000 .*now says.* set processor.group to a new/,
    );
  });

  test('whose budgets alone differ is read, and tells them', () => {
    const config = { ...GOLDEN_CONFIG, maxOpenAggregates: 1, maxDevices: 1 };
    expect(decodeCheckpoint(bytes, config)).toEqual(goldenState());
    const budgets = { maxOpenAggregates: 500_000, maxDevices: 50_000 };
    expect(decodeTerms(bytes)).toEqual({ budgets, isFinal: false });
    expect(decodeTerms(encodeCheckpoint(goldenState(), config, true))).toEqual({
      budgets: { maxOpenAggregates: 1, maxDevices: 1 },
      isFinal: true,
    });
  });
});

/** The same state, with its Maps filled the other way round where their order has no meaning. */
function turnedRound(state: FoldState): FoldState {
  const turned = <K, V>(map: ReadonlyMap<K, V>) => new Map([...map].reverse());
  const levels = state.levels.map(
    (level): LevelState => ({
      ...level,
      panes: new Map([...turned(level.panes)].map(([deviceId, panes]) => [deviceId, turned(panes)])),
      closing: turned(level.closing),
    }),
  );
  return { ...state, devices: turned(state.devices), levels };
}

/** Names what a state holds. */
function* partsOf({ devices, levels, logTime }: FoldState): Generator<string> {
  if (logTime === Number.NEGATIVE_INFINITY) yield 'none';
  for (const { payloads, sequences } of devices.values()) {
    if (payloads !== undefined) yield 'payloads';
    if (payloads !== undefined && payloads.hashes.length !== payloads.next) yield 'rotated';
    if (sequences.length > 1) yield 'two runs';
  }
  for (const { panes, forced } of levels) {
    if (forced.count > 0) yield 'forced';
    for (const [deviceId, byStart] of panes) {
      if (!devices.has(deviceId)) yield 'forgotten';
      for (const { pane, metrics } of byStart.values()) {
        if (pane > 0) yield 'late';
        for (const { distribution } of metrics.values()) yield distribution.kind;
      }
    }
  }
}
