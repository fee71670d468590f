import { describe, expect, test } from 'vitest';
import { isCaughtUp, type ProgressFigures, readProgressFigures } from './progress-figures.ts';

test('figures are read from Prometheus text', () => {
  const text = [
    '# HELP sluice_processor_lag_records Records in the partition that are not folded yet',
    '# TYPE sluice_processor_lag_records gauge',
    'sluice_processor_lag_records{partition="3"} 12',
    'sluice_processor_lag_records{partition="11"} 0',
    'sluice_processor_messages_total{outcome="accepted"} 100',
    'sluice_processor_messages_total{outcome="quarantined"} 5',
    'sluice_gateway_accepted_messages_total 7',
    'sluice_gateway_accepted_messages_total_other 70',
  ].join('\n');
  expect(readProgressFigures(text)).toEqual({
    lag: new Map([
      [3, 12],
      [11, 0],
    ]),
    folded: 105,
    accepted: 7,
  });
  expect(readProgressFigures('')).toEqual({ lag: new Map(), folded: 0, accepted: 0 });
});

describe('the processors are level with the gateways', () => {
  const rule = { partitions: 2, mostLag: 10 };
  const gateway = (accepted: number): ProgressFigures => ({ lag: new Map(), folded: 0, accepted });
  const processor = (folded: number, ...lag: [number, number][]): ProgressFigures => ({
    lag: new Map(lag),
    folded,
    accepted: 0,
  });
  const before = new Map([
    ['gateway', gateway(10)],
    ['processor', processor(10, [0, 0], [1, 0])],
  ]);

  test.each<[string, boolean, [string, ProgressFigures][]]>([
    [
      'when all is folded',
      true,
      [
        ['gateway', gateway(20)],
        ['processor', processor(20, [0, 4], [1, 6])],
      ],
    ],
    [
      'when nothing comes in',
      true,
      [
        ['gateway', gateway(10)],
        ['processor', processor(10, [0, 0], [1, 0])],
      ],
    ],
    [
      'not when records are left',
      false,
      [
        ['gateway', gateway(20)],
        ['processor', processor(20, [0, 4], [1, 7])],
      ],
    ],
    [
      'not when a partition has no owner',
      false,
      [
        ['gateway', gateway(20)],
        ['processor', processor(20, [0, 0])],
      ],
    ],
    [
      'not when nothing is folded',
      false,
      [
        ['gateway', gateway(20)],
        ['processor', processor(10, [0, 0], [1, 0])],
      ],
    ],
    [
      'not when one of two that claim a partition is behind',
      false,
      [
        ['gateway', gateway(20)],
        ['processor', processor(20, [0, 0], [1, 0])],
        ['zombie', processor(5, [0, 99])],
      ],
    ],
    ['not when a processor gave no answer', false, [['gateway', gateway(20)]]],
    [
      'not from a counter that began again',
      false,
      [
        ['gateway', gateway(20)],
        ['processor', processor(3, [0, 0], [1, 0])],
      ],
    ],
  ])('%s', (_, expected, now) => {
    expect(isCaughtUp(before, new Map(now), rule)).toBe(expected);
  });
});
