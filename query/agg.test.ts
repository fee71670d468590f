import { describe, expect, it } from 'vitest';
import { type Aggregate, addReading, createAggregate, mergeAggregates } from '../metric-store/aggregate.ts';
import { parseAgg } from './agg.ts';
import { PairwiseMerge } from './pairwise-merge.ts';

function aggregateOf(...values: number[]): Aggregate {
  const [first = 0, ...rest] = values;
  const aggregate = createAggregate(first, 0);
  for (const [i, value] of rest.entries()) addReading(aggregate, value, i + 1);
  return aggregate;
}

describe('aggregations', () => {
  it.each([
    '',
    'avg',
    'P95',
    'p',
    'p0',
    'p0.0',
    'p100',
    'p101',
    'p-1',
    'p05',
    'p9.',
    'p1e1',
    'toString',
    ' mean',
  ])('%j is none', (name) => {
    expect(parseAgg(name)).toBeUndefined();
  });

  it.each(['p0.1', 'p1', 'p50', 'p99.9', 'p99.999'])('%s is one and needs distributions', (name) => {
    expect(parseAgg(name)).toMatchObject({ name, needsDistribution: true });
  });

  it('p99.9 of 1,000 values is the 999th, not the next', () => {
    let merged = createAggregate(1, 0);
    for (let value = 2; value <= 64; value++) addReading(merged, value, 0);
    expect(parseAgg('p50')?.compute(merged)).toBe(32);
    for (let value = 65; value <= 999; value++) merged = mergeAggregates(merged, createAggregate(value, 0));
    merged = mergeAggregates(merged, createAggregate(1_000_000, 0));
    expect(parseAgg('p99.9')?.compute(merged)).toBeLessThan(1_010);
  });

  it('a percentile stays within the exact minimum and maximum', () => {
    const same = aggregateOf(...Array.from({ length: 100 }, () => 21.5));
    expect(same.distribution.kind).toBe('sketch');
    expect(parseAgg('p50')?.compute(same)).toBe(21.5);
    expect(parseAgg('p99')?.compute(same)).toBe(21.5);
  });

  it('a mean stays within the minimum and maximum', () => {
    expect(parseAgg('mean')?.compute(aggregateOf(0.1, 0.1, 0.1))).toBe(0.1);
  });

  it('stddev is that of the population', () => {
    expect(parseAgg('stddev')?.compute(aggregateOf(2, 4, 4, 4, 5, 5, 7, 9))).toBeCloseTo(2, 12);
  });
});

describe('merging pairwise', () => {
  it('merges nothing to nothing and one to itself', () => {
    const merge = new PairwiseMerge();
    expect(merge.result()).toBeUndefined();
    merge.add(aggregateOf(1, 2));
    expect(merge.result()).toEqual(aggregateOf(1, 2));
  });

  it('keeps the sum of a hundred thousand tenths to the last digits', () => {
    const merge = new PairwiseMerge();
    for (let i = 0; i < 100_000; i++)
      merge.add({ ...createAggregate(0.1, i), distribution: { kind: 'raw', values: [] } });
    expect(Math.abs((merge.result()?.sum ?? 0) - 10_000)).toBeLessThan(1e-10);
    expect(merge.result()?.count).toBe(100_000);
  });
});
