import type { FoldConfig } from './fold-config.ts';
import type { FoldState, LevelState, OpenPane } from './fold-state.ts';
import { rememberSequence, type SequenceWindow } from './sequence-window.ts';

export const GOLDEN_CONFIG: FoldConfig = {
  windowsMs: [10_000, 60_000, 3_600_000],
  graceMs: 2_000,
  maxAheadMs: 60_000,
  maxAgeMs: 604_800_000,
  maxOpenAggregates: 500_000,
  maxDevices: 50_000,
};

/** The hour of the log time, and the minute and the ten seconds in it. */
export const HOUR = 1_732_460_400_000;
const MINUTE = HOUR + 120_000;
const TEN_SECONDS = MINUTE + 30_000;

/** The state whose bytes `fixtures/checkpoint-v2.hex` holds. */
export function goldenState(): FoldState {
  return {
    logTime: TEN_SECONDS + 5_000,
    nextOffset: 0x1234_5678_9abc_def0n,
    devices: new Map([
      ['counts', { lastSeen: TEN_SECONDS + 5_000, sequences: sequences(), payloads: undefined }],
      [
        'hashes',
        { lastSeen: HOUR, sequences: [], payloads: { hashes: [0x1234_5678_9abc, 2 ** 53 - 1], next: 2 } },
      ],
    ]),
    levels: [tenSeconds(), minute(), hour()],
    alerts: new Map<string, never>(),
  };
}

/** A run with a gap of two numbers, and one that took every second number. */
function sequences(): SequenceWindow[] {
  const windows: SequenceWindow[] = [];
  for (let seq = 0; seq <= 1_022; seq += 2) rememberSequence(windows, seq, HOUR + seq);
  for (let seq = 3_900; seq <= 5_000; seq++) {
    if (seq === 4_097 || seq === 4_098) continue;
    rememberSequence(windows, seq, TEN_SECONDS + 4_990 - (5_000 - seq) * 10);
  }
  return windows;
}

/** Decimals, booleans, and a pane that is 12 windows late. */
function tenSeconds(): LevelState {
  const onTime: OpenPane = {
    deviceId: 'counts',
    windowStart: TEN_SECONDS,
    pane: 0,
    metrics: new Map([
      [
        'temperature',
        {
          count: 3,
          sum: 64.43,
          min: 21.4,
          max: 21.53,
          first: 21.5,
          firstAt: TEN_SECONDS,
          last: 21.4,
          lastAt: TEN_SECONDS + 2_000,
          m2: 0.00926,
          distribution: { kind: 'raw', values: [21.5, 21.53, 21.4] },
        },
      ],
      ['door', single(1, TEN_SECONDS + 1_000)],
    ]),
  };
  const late: OpenPane = {
    deviceId: 'forgotten',
    windowStart: TEN_SECONDS - 120_000,
    pane: 12,
    metrics: new Map([['Ω', single(-1 / 3, TEN_SECONDS - 110_001)]]),
  };
  return level([onTime, late], TEN_SECONDS + 10_000, { count: 1, until: TEN_SECONDS });
}

function minute(): LevelState {
  const empty = level([], MINUTE + 60_000, { count: 0, until: Number.NEGATIVE_INFINITY });
  return { ...empty, closing: new Map([[MINUTE + 60_000, []]]), nextClosesAt: MINUTE + 60_000 };
}

/** Full-precision values of a sketch. */
function hour(): LevelState {
  const pane: OpenPane = {
    deviceId: 'counts',
    windowStart: HOUR,
    pane: 0,
    metrics: new Map([
      [
        'temperature',
        {
          count: 70,
          sum: 1_497.000_000_000_000_2,
          min: 21.1,
          max: 21.65,
          first: 21.3,
          firstAt: HOUR + 7,
          last: 21.65,
          lastAt: TEN_SECONDS - 1,
          m2: 1.5,
          distribution: {
            kind: 'sketch',
            positive: new Map([
              [153, 40],
              [154, 30],
            ]),
            negative: new Map<number, number>(),
            zero: 0,
          },
        },
      ],
    ]),
  };
  return level([pane], HOUR + 3_600_000, { count: 0, until: Number.NEGATIVE_INFINITY });
}

function single(value: number, at: number) {
  return {
    count: 1,
    sum: value,
    min: value,
    max: value,
    first: value,
    firstAt: at,
    last: value,
    lastAt: at,
    m2: 0,
    distribution: { kind: 'raw' as const, values: [value] },
  };
}

function level(panes: OpenPane[], closesAt: number, forced: LevelState['forced']): LevelState {
  return {
    panes: new Map(panes.map((pane) => [pane.deviceId, new Map([[pane.windowStart, pane]])])),
    closing: new Map(panes.length === 0 ? [] : [[closesAt, panes]]),
    nextClosesAt: panes.length === 0 ? Number.POSITIVE_INFINITY : closesAt,
    openAggregates: panes.reduce((sum, { metrics }) => sum + metrics.size, 0),
    forced,
  };
}
