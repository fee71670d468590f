import { describe, expect, test } from 'vitest';
import type { Aggregate } from '../metric-store/aggregate.ts';
import { sealed } from './checkpoint.fixture.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { GOLDEN_CONFIG, goldenState } from './checkpoint-golden.fixture.ts';
import { CheckpointWriter } from './checkpoint-writer.ts';
import { CheckpointDamagedError } from './errors.ts';
import { type FoldConfig, foldFingerprint } from './fold-config.ts';
import { createFoldState, type FoldState } from './fold-state.ts';

const BODY_AT = 16;
const LOG_TIME = 1_732_460_000_000;

/** A checkpoint with one device and one metric, up to where `rest` goes on, which is what is remembered of the device. */
function checkpointOf(rest: (writer: CheckpointWriter) => void, config: FoldConfig = CONFIG): Buffer {
  return wholeOf((writer) => {
    writer.offset(7n);
    writer.time(LOG_TIME);
    for (const name of ['d', 'm']) {
      writer.varint(1);
      writer.text(name);
    }
    rest(writer);
  }, config);
}

/** A checkpoint whose body goes on with `rest` behind the fingerprint. */
function wholeOf(rest: (writer: CheckpointWriter) => void, config: FoldConfig = CONFIG): Buffer {
  const writer = new CheckpointWriter(BODY_AT);
  writer.text(foldFingerprint(config));
  writer.varint(config.maxOpenAggregates);
  writer.varint(config.maxDevices);
  writer.varint(0);
  rest(writer);
  const bytes = writer.bytes();
  bytes.write('SLCP', 'latin1');
  bytes.writeUInt32LE(2, 4);
  return sealed(bytes);
}

const CONFIG: FoldConfig = { ...GOLDEN_CONFIG, windowsMs: [10_000] };

/** The varints that a checkpoint goes on with, and float64 where marked. */
type Parts = readonly (number | { readonly time: number } | { readonly float64: number })[];

function writeParts(writer: CheckpointWriter, parts: Parts): void {
  for (const part of parts) {
    if (typeof part === 'number') writer.varint(part);
    else writer.block(new Uint8Array(Float64Array.of('time' in part ? part.time : part.float64).buffer));
  }
}

const NEVER = { time: Number.NEGATIVE_INFINITY };
const CLOSES_AT = { time: LOG_TIME };
/** No device is remembered; nothing was closed early; one group of one pane of device 0, not late, with one metric. */
const ONE_PANE: Parts = [0, 0, NEVER, 1, CLOSES_AT, 1, 0, 0, 0, 1];
/** The metric, and a reading 1 without decimals at the start of the window. */
const READING: Parts = [0, 0x60, 1, 0, 0, 2, 2, 0, 0];

describe('a value that cannot be is refused as such', () => {
  const cases: Record<string, readonly [refusal: string, parts: Parts]> = {
    'a device that starts with an unknown bit': ['a device that starts with 20', [0x14]],
    'a device with runs that is not remembered': ['a device that starts with 1', [1]],
    'a run of more numbers than a window has': [
      '1057 numbers seen where at most 1056 can be',
      [5, 0, 7, 1_057],
    ],
    'a run that leaves the window': ['57 numbers in a run where at most 56 can be', [5, 0, 7, 1_000, 57]],
    'an empty run': ['an empty run of numbers', [5, 0, 7, 1_000, 0]],
    'a bitmap without the highest number': [
      'the highest number was not seen',
      [5, 0, 7, 0, ...Array(132).fill(0)],
    ],
    'a number above the highest': [
      'a number above the highest was seen',
      [5, 0, 6, 0, 64, 1, ...Array(130).fill(0)],
    ],
    'a time before all time': [
      'the times -13509066422111494 to -13509066422111486',
      [5, 2 ** 53 - 1, 7, 1, 1_055, 2 ** 53 - 2, 8],
    ],
    'more hashes than are remembered': ['65 hashes of payloads where at most 64 can be', [0x0c, 0, 65, 0]],
    'a place beyond the hashes': ['64 as the next place where at most 63 can be', [0x0c, 0, 0, 64]],
    'a place that is not the next': ['place 0 of 1 is next', [0x0c, 0, 1, 0, { float64: 5 }]],
    'a hash that is no integer': ['the hash 0.5', [0x0c, 0, 1, 1, { float64: 0.5 }]],
    'a negative hash': ['the hash -1', [0x0c, 0, 1, 1, { float64: -1 }]],
    'a time that is no integer': ['0.5 where a time belongs', [0, 0, { time: 0.5 }]],
    'a time beyond all time': ['Infinity where a time belongs', [0, 0, { time: Number.POSITIVE_INFINITY }]],
    'more groups of panes than bytes': [
      '1000000000 groups of panes in 0 bytes',
      [0, 0, NEVER, 1_000_000_000],
    ],
    'panes that close at no end of a window': [
      'panes that close at 1732460000001',
      [0, 0, NEVER, 1, { time: LOG_TIME + 1 }, 0],
    ],
    'panes that never close': ['panes that close at -Infinity', [0, 0, NEVER, 1, NEVER, 0]],
    'groups out of order': [
      'panes that close at 1732459990000',
      [0, 0, NEVER, 2, CLOSES_AT, 0, { time: LOG_TIME - 10_000 }, 0],
    ],
    'a group twice': ['panes that close at 1732460000000', [0, 0, NEVER, 2, CLOSES_AT, 0, CLOSES_AT, 0]],
    'more panes than bytes': ['1000000000 panes in 0 bytes', [0, 0, NEVER, 1, CLOSES_AT, 1_000_000_000]],
    'a device without a name': ['name 1 of 1', [0, 0, NEVER, 1, CLOSES_AT, 1, 1, 0, 0, 1, ...READING]],
    'a window before all time': [
      'a window that starts at -11258997335966250000',
      [0, 0, NEVER, 1, CLOSES_AT, 1, 0, 2 ** 50, 0, 1, ...READING],
    ],
    'a pane twice': [
      'd has the pane 1732459990000 twice',
      [0, 0, NEVER, 1, CLOSES_AT, 2, 0, 0, 0, 1, ...READING, 0, 0, 0, 1, ...READING],
    ],
    'more metrics than bytes': ['1000000000 metrics in 0 bytes', [...ONE_PANE.slice(0, -1), 1_000_000_000]],
    'a metric without a name': ['name 1 of 1', [...ONE_PANE, 1, ...READING.slice(1)]],
    'a metric twice': ['the metric m twice in a pane', [...ONE_PANE.slice(0, -1), 2, ...READING, ...READING]],
    'an unknown form of values': [
      'an aggregate that starts with 106',
      [...ONE_PANE, 0, 0x6a, 1, 0, 0, 2, 2, 0, 0],
    ],
    'an aggregate that starts with an unknown bit': [
      'an aggregate that starts with 224',
      [...ONE_PANE, 0, 0xe0, 1, 0, 0, 2, 2, 0, 0],
    ],
    'no readings': ['0 raw values', [...ONE_PANE, 0, 0x60, 0, 0, 0, 2, 0, 0]],
    'more raw values than are kept': [
      '65 raw values',
      [...ONE_PANE, 0, 0x60, 65, 0, 0, 2, ...Array(65).fill(2), 0, 0],
    ],
    'a first reading behind the window': [
      '10000 ms after the start of the window where at most 9999 can be',
      [...ONE_PANE, 0, 0x60, 1, 10_000, 0, 2, 2, 0, 0],
    ],
    'a last reading behind the window': [
      '9999 ms after the first where at most 9998 can be',
      [...ONE_PANE, 0, 0x60, 1, 1, 9_999, 2, 2, 0, 0],
    ],
    'an integer beyond all values': [
      '4503599627370495 stands for no value',
      [...ONE_PANE, 0, 0x60, 1, 0, 0, 2, 2 ** 53 - 2, 0, 0],
    ],
    'a sum beyond all values': [
      '4503599627370495 stands for no value',
      [...ONE_PANE, 0, 0x60, 1, 0, 0, 2 ** 53 - 2, 2, 0, 0],
    ],
    'a first value that is not there': [
      '1 as the place of a value where at most 0 can be',
      [...ONE_PANE, 0, 0x60, 1, 0, 0, 2, 2, 1, 0],
    ],
    'a last value that is not there': [
      '1 as the place of a value where at most 0 can be',
      [...ONE_PANE, 0, 0x60, 1, 0, 0, 2, 2, 0, 1],
    ],
    'a sum that is no number': [
      'NaN where a number belongs',
      [...ONE_PANE, 0, 0x40, 1, 0, 0, { float64: Number.NaN }, 2, 0, 0],
    ],
    'a sketch of few values': [
      'no sketch of 2 values',
      [...ONE_PANE, 0, 0x70, 2, 0, 0, 2, 2, 2, 2, 2, 4, 2, 2, 0, 0],
    ],
    'a sketch of another count': [
      'a sketch of 69 values, not of 70',
      [...ONE_PANE, 0, 0x70, 70, 0, 0, 2, 2, 2, 2, 2, 4, 2, 69, 0, 0],
    ],
    'a sketch that ends too early': [
      'truncated',
      [...ONE_PANE, 0, 0x70, 70, 0, 0, 2, 2, 2, 2, 2, 3, 2, 70, 0],
    ],
    'a sketch longer than the checkpoint': [
      '1000 bytes of a sketch in 4 bytes',
      [...ONE_PANE, 0, 0x70, 70, 0, 0, 2, 2, 2, 2, 2, 1_000, 2, 70, 0, 0],
    ],
    'no sketch where one belongs': [
      'no sketch of 70 values',
      [...ONE_PANE, 0, 0x70, 70, 0, 0, 2, 2, 2, 2, 2, 1, 3],
    ],
    'a first value above the largest': [
      '2 and 1 are not between 1 and 1',
      [...ONE_PANE, 0, 0x70, 70, 0, 0, 2, 2, 2, 4, 2, 4, 2, 70, 0, 0],
    ],
    'a last value below the smallest': [
      '1 and 0 are not between 1 and 1',
      [...ONE_PANE, 0, 0x70, 70, 0, 0, 2, 2, 2, 2, 0, 4, 2, 70, 0, 0],
    ],
    'bytes behind the last level': ['1 bytes follow where none belong', [...ONE_PANE, ...READING, 0]],
  };

  test.each(Object.entries(cases))('%s', (_, [refusal, parts]) => {
    const bytes = checkpointOf((writer) => writeParts(writer, parts));
    const decode = () => decodeCheckpoint(bytes, CONFIG);
    expect(decode).toThrow(CheckpointDamagedError);
    expect(decode).toThrow(refusal);
  });

  test('but for that it is read', () => {
    const sketch = [...ONE_PANE, 0, 0x70, 70, 0, 0, 2, 2, 2, 2, 2, 4, 2, 70, 0, 0];
    for (const parts of [
      [...ONE_PANE, ...READING],
      sketch,
      [5, 0, 7, 1_000, 56, ...Array(64).fill(0), 0, NEVER, 0],
    ]) {
      const bytes = checkpointOf((writer) => writeParts(writer, parts));
      expect(decodeCheckpoint(bytes, CONFIG).nextOffset).toBe(7n);
    }
  });

  test('a device that is remembered from before the first record', () => {
    const bytes = wholeOf((writer) => {
      writer.offset(7n);
      writer.time(Number.NEGATIVE_INFINITY);
      writer.varint(1);
      writer.text('d');
      writeParts(writer, [0, 4, 0, 0, NEVER, 0]);
    });
    expect(() => decodeCheckpoint(bytes, CONFIG)).toThrow(/a device last seen at -Infinity/);
  });

  test('a number with a leading zero', () => {
    const bytes = checkpointOf((writer) => writer.block(Buffer.from([4, 0x80, 0])));
    expect(() => decodeCheckpoint(bytes, CONFIG)).toThrow(/a number with a leading zero/);
  });

  test('names out of order', () => {
    for (const names of [
      ['b', 'a'],
      ['a', 'a'],
    ]) {
      const bytes = wholeOf((writer) => {
        writer.offset(7n);
        writer.time(LOG_TIME);
        writer.varint(names.length);
        for (const name of names) writer.text(name);
      });
      expect(() => decodeCheckpoint(bytes, CONFIG)).toThrow(/names out of order/);
    }
  });

  test('more names than bytes, before there is memory for them', () => {
    const bytes = wholeOf((writer) => {
      writer.offset(7n);
      writer.time(LOG_TIME);
      writer.varint(2 ** 40);
    });
    expect(() => decodeCheckpoint(bytes, CONFIG)).toThrow(/1099511627776 names in 0 bytes/);
  });
});

describe('a state that the fold cannot give is not encoded', () => {
  const cases: Record<string, readonly [refusal: RegExp, change: (state: FoldState) => void]> = {
    'with a pane that is open and will not close': [
      /2 panes are open and 0 will close/,
      ({ levels }) => levels[0]?.closing.clear(),
    ],
    'with a pane that will close and is not open': [
      /of counts closes but is not open/,
      ({ levels }) => levels[0]?.panes.clear(),
    ],
    'with a copy of a pane that is open': [
      /of counts closes but is not open/,
      ({ levels }) => {
        for (const [closesAt, group] of levels[0]?.closing ?? []) {
          levels[0]?.closing.set(closesAt, structuredClone(group));
        }
      },
    ],
    'with a smallest value that is none of the raw ones': [
      /20.4 and 21.53 are not the smallest and largest/,
      changeAggregates((aggregate) => aggregate.min--),
    ],
    'with a largest value that is none of the raw ones': [
      /21.4 and 22.53 are not the smallest and largest/,
      changeAggregates((aggregate) => aggregate.max++),
    ],
    'with a first value that is none of the raw ones': [
      /22.5 is not among the raw values/,
      changeAggregates((aggregate) => aggregate.first++),
    ],
    'with a count that is not that of the raw values': [
      /3 raw values of 4 readings/,
      changeAggregates((aggregate) => aggregate.count++),
    ],
    'with more raw values than are kept': [
      /65 raw values/,
      changeAggregates((aggregate) => {
        aggregate.count = 65;
        aggregate.distribution = { kind: 'raw', values: Array(65).fill(21.5) };
      }),
    ],
    'with a sum that is no number': [
      /NaN is not a number/,
      changeAggregates((aggregate) => {
        aggregate.sum = Number.NaN;
      }),
    ],
    'with a reading before its window': [
      /-1 is not an unsigned integer/,
      changeAggregates((aggregate) => aggregate.firstAt--),
    ],
    'with a log time that is no number': [
      /NaN is not a time/,
      (state) => {
        state.logTime = Number.NaN;
      },
    ],
    'with a negative offset': [
      /out of range/,
      (state) => {
        state.nextOffset = -1n;
      },
    ],
    'with a device from the time to come': [
      /is not an unsigned integer/,
      ({ devices }) => {
        for (const device of devices.values()) device.lastSeen = LOG_TIME * 2;
      },
    ],
    'with more runs of a counter than two bits count': [
      /4 sequence windows/,
      ({ devices }) => {
        for (const { sequences } of devices.values()) sequences.push(...sequences);
      },
    ],
    'with a highest number that was not seen': [
      /the highest number was not seen/,
      ({ devices }) => {
        for (const { sequences } of devices.values()) for (const { seen } of sequences) seen.fill(0);
      },
    ],
    'with another number of seen numbers': [
      /1 blocks of seen numbers/,
      ({ devices }) => {
        for (const device of devices.values()) {
          const [run] = device.sequences;
          if (run !== undefined) device.sequences[0] = { ...run, seen: new Uint32Array(1) };
        }
      },
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [refusal, change]) => {
    const state = goldenState();
    change(state);
    const encode = () => encodeCheckpoint(state, GOLDEN_CONFIG);
    expect(encode).toThrow(RangeError);
    expect(encode).toThrow(refusal);
  });

  test('with other resolutions than configured', () => {
    expect(() => encodeCheckpoint(createFoldState(2), GOLDEN_CONFIG)).toThrow(/2 of 3 levels/);
  });
});

function changeAggregates(change: (aggregate: Aggregate) => void): (state: FoldState) => void {
  return ({ levels }) => {
    for (const { metrics } of levels[0]?.panes.get('counts')?.values() ?? []) {
      for (const aggregate of metrics.values()) change(aggregate);
    }
  };
}
