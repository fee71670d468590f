import { describe, expect, test } from 'vitest';
import { addReading, createAggregate } from '../metric-store/aggregate.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { GOLDEN_CONFIG } from './checkpoint-golden.fixture.ts';
import { createFoldState, type FoldState, type OpenPane } from './fold-state.ts';
import { rememberSequence, type SequenceWindow } from './sequence-window.ts';

const HOUR = 1_732_460_400_000;
const METRICS = ['temperature', 'humidity', 'pressure', 'voltage', 'current'];
const DEVICES = 40;
/** Readings in the open panes of 10 s, 1 min and 1 h, one a second. */
const READINGS = [10, 60, 1_800];

/** A value of a metric after some seconds: around 100 times the metric's number, with noise. */
type Sensor = (metric: number, second: number) => number;

const precise: Sensor = (metric, second) =>
  100 * (metric + 1) + 2 * Math.sin(second / 300) + noise(second) / 4;
const rounded: Sensor = (metric, second) => Math.round(100 * precise(metric, second)) / 100;
const contact: Sensor = (_, second) => (noise(second) > 0.9 ? 1 : 0);

function noise(second: number): number {
  return Math.abs((Math.sin(second * 12.9898) * 43_758.5453) % 1);
}

/** A state in the middle of an hour, with every device's panes of every size open and its numbers without a gap. */
function stateOf(sensor: Sensor, devices = DEVICES, readings = READINGS): FoldState {
  const state = createFoldState(3);
  state.logTime = HOUR + 1_800_000;
  for (let device = 0; device < devices; device++) {
    const deviceId = `building-7-floor-${device}`;
    const sequences: SequenceWindow[] = [];
    for (let back = 1_100; back >= 0; back--) {
      rememberSequence(sequences, 90_000 + device - back, state.logTime - device - back * 1_000);
    }
    state.devices.set(deviceId, { lastSeen: state.logTime - 7, sequences, payloads: undefined });
    state.levels.forEach((level, index) => {
      const pane = paneOf(deviceId, sensor, readings[index] ?? 0);
      const closesAt = HOUR + (GOLDEN_CONFIG.windowsMs[index] ?? 0);
      level.panes.set(deviceId, new Map([[HOUR, pane]]));
      level.closing.set(closesAt, [...(level.closing.get(closesAt) ?? []), pane]);
      level.nextClosesAt = closesAt;
      level.openAggregates += pane.metrics.size;
    });
  }
  return state;
}

function paneOf(deviceId: string, sensor: Sensor, readings: number): OpenPane {
  const metrics = METRICS.map((name, metric) => {
    const aggregate = createAggregate(sensor(metric, 0), HOUR);
    for (let i = 1; i < readings; i++) addReading(aggregate, sensor(metric, i), HOUR + i * 5);
    return [name, aggregate] as const;
  });
  return { deviceId, windowStart: HOUR, pane: 0, metrics: new Map(metrics) };
}

function bytesPerSeries(state: FoldState): number {
  return encodeCheckpoint(state, GOLDEN_CONFIG).length / (DEVICES * METRICS.length);
}

describe('a series with a pane of each size open takes', () => {
  test('less than 250 bytes when values have two decimal places', () => {
    expect(bytesPerSeries(stateOf(rounded))).toBeLessThan(250);
  });

  test('less than 180 bytes when values are 0 and 1', () => {
    expect(bytesPerSeries(stateOf(contact))).toBeLessThan(180);
  });

  test('less than 750 bytes when values are doubles of full precision', () => {
    expect(bytesPerSeries(stateOf(precise))).toBeLessThan(750);
  });
});

test('a device whose numbers have no gap takes less than 190 bytes beyond its name', () => {
  const bare = stateOf(rounded, 100, [1, 1, 1]);
  for (const level of bare.levels) {
    level.panes.clear();
    level.closing.clear();
    level.nextClosesAt = Number.POSITIVE_INFINITY;
    level.openAggregates = 0;
  }
  const names = [...bare.devices.keys()].join('').length;
  expect((encodeCheckpoint(bare, GOLDEN_CONFIG).length - names) / 100).toBeLessThan(190);
  expect(decodeCheckpoint(encodeCheckpoint(bare, GOLDEN_CONFIG), GOLDEN_CONFIG)).toEqual(bare);
});

test('names are written once', () => {
  const bytes = encodeCheckpoint(stateOf(rounded), GOLDEN_CONFIG);
  for (const name of [...METRICS, 'building-7-floor-11']) {
    expect(bytes.indexOf(name)).toBeGreaterThan(0);
    expect(bytes.indexOf(name)).toBe(bytes.lastIndexOf(name));
  }
});

test('a state that no buffer was made for in advance comes back', () => {
  const state = stateOf(precise);
  const bytes = encodeCheckpoint(state, GOLDEN_CONFIG);
  expect(bytes.length).toBeGreaterThan(128 * 1024);
  expect(decodeCheckpoint(bytes, GOLDEN_CONFIG)).toEqual(state);
});
