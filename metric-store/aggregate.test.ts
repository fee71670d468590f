import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Aggregate, addReading, createAggregate, mergeAggregates } from './aggregate.ts';
import { NO_DISTRIBUTION, quantile } from './distribution.ts';
import { arbitraryValue } from './rows.fixture.ts';

interface TimedValue {
  readonly value: number;
  readonly at: number;
}

/** Few different times, so that ties are common. */
const arbitraryReadings = fc.array(
  fc.record({ value: arbitraryValue, at: fc.integer({ min: 0, max: 20 }) }),
  { minLength: 1, maxLength: 150 },
);

function fold(readings: readonly TimedValue[]): Aggregate {
  const [first, ...rest] = readings;
  if (first === undefined) throw new RangeError('no readings');
  const aggregate = createAggregate(first.value, first.at);
  for (const { value, at } of rest) addReading(aggregate, value, at);
  return aggregate;
}

/** Folds parts of the readings and merges neighbours in the order that the picks say, like a tree of any shape. */
function foldInParts(readings: readonly TimedValue[], picks: readonly number[]): Aggregate {
  const parts: Aggregate[] = [];
  let from = 0;
  for (const pick of picks) {
    const to = Math.min(readings.length, from + 1 + (pick % 7));
    if (to > from) parts.push(fold(readings.slice(from, to)));
    from = to;
  }
  if (from < readings.length) parts.push(fold(readings.slice(from)));
  for (const pick of [...picks, ...parts.map(() => 0)]) {
    const at = pick % Math.max(1, parts.length - 1);
    const [a, b] = parts.slice(at, at + 2);
    if (a !== undefined && b !== undefined) {
      parts.splice(at, 2, pick % 2 === 0 ? mergeAggregates(a, b) : mergeAggregates(b, a));
    }
  }
  const [all] = parts;
  if (all === undefined || parts.length > 1) throw new RangeError('not merged');
  return all;
}

/** What does not depend on the order in which doubles are added. */
function exactPart({ count, min, max, first, firstAt, last, lastAt, distribution }: Aggregate) {
  const values = distribution.kind === 'raw' ? [...distribution.values].sort((a, b) => a - b) : distribution;
  return { count, min, max, first, firstAt, last, lastAt, values };
}

function expectClose(actual: number, expected: number, scale: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-9 * Math.max(scale, Number.MIN_VALUE));
}

test('count, extremes, first and last agree with a naive oracle', () => {
  fc.assert(
    fc.property(arbitraryReadings, (readings) => {
      const values = readings.map(({ value }) => value + 0);
      const byTime = [...readings].sort((a, b) => a.at - b.at || a.value - b.value);
      const aggregate = fold(readings);
      expect(aggregate).toMatchObject({
        count: readings.length,
        min: Math.min(...values),
        max: Math.max(...values),
        first: (byTime[0]?.value ?? Number.NaN) + 0,
        firstAt: byTime[0]?.at,
        last: (byTime.at(-1)?.value ?? Number.NaN) + 0,
        lastAt: byTime.at(-1)?.at,
      });
    }),
  );
});

test('any split, order and tree of merges gives the aggregate of adding one by one', () => {
  const shuffled = arbitraryReadings.chain((readings) =>
    fc.record({
      readings: fc.constant(readings),
      reordered: fc.shuffledSubarray(readings, { minLength: readings.length, maxLength: readings.length }),
      picks: fc.array(fc.nat(100), { maxLength: 60 }),
    }),
  );
  fc.assert(
    fc.property(shuffled, ({ readings, reordered, picks }) => {
      expect(exactPart(foldInParts(reordered, picks))).toEqual(exactPart(fold(readings)));
    }),
  );
});

test('sum and m2 stay within 1e-9 of exact ones, also far from zero and however they are merged', () => {
  const spread = fc.double({ min: -1_000, max: 1_000, noNaN: true });
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1e6, -1e6),
      fc.array(spread, { maxLength: 200 }),
      fc.array(fc.nat(100), { maxLength: 60 }),
      (offset, noise, picks) => {
        const values = [-1_000, ...noise, 1_000].map((value) => offset + value);
        const mean = offset + noise.reduce((sum, value) => sum + value, 0) / values.length;
        const m2 = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
        const readings = values.map((value, at) => ({ value, at }));
        for (const aggregate of [fold(readings), foldInParts(readings, picks)]) {
          expectClose(aggregate.m2, m2, m2);
          expectClose(
            aggregate.sum,
            mean * values.length,
            values.reduce((sum, v) => sum + Math.abs(v), 0),
          );
        }
      },
    ),
  );
});

test('merging is commutative bit for bit', () => {
  fc.assert(
    fc.property(arbitraryReadings, arbitraryReadings, (a, b) => {
      const [left, right] = [fold(a), fold(b)];
      const [merged, swapped] = [mergeAggregates(left, right), mergeAggregates(right, left)];
      expect(exactPart(merged)).toEqual(exactPart(swapped));
      expect(merged.sum).toBe(swapped.sum);
      expect(merged.m2).toBe(swapped.m2);
    }),
  );
});

test('merging changes neither argument', () => {
  fc.assert(
    fc.property(arbitraryReadings, arbitraryReadings, (a, b) => {
      const [left, right] = [fold(a), fold(b)];
      const before = structuredClone([left, right]);
      const merged = mergeAggregates(left, right);
      for (let i = 0; i < 100; i++) addReading(merged, i, i);
      expect([left, right]).toEqual(before);
    }),
  );
});

test('sums beyond the range of a double stay at its edge and are never NaN', () => {
  const edges = fc.constantFrom(Number.MAX_VALUE, -Number.MAX_VALUE, Number.MAX_VALUE / 2, 0, 1);
  const readings = fc.array(fc.record({ value: edges, at: fc.nat(5) }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(readings, fc.array(fc.nat(100), { maxLength: 20 }), (extreme, picks) => {
      for (const aggregate of [fold(extreme), foldInParts(extreme, picks)]) {
        expect(Number.isFinite(aggregate.sum)).toBe(true);
        expect(Number.isFinite(aggregate.m2)).toBe(true);
        expect(aggregate.m2).toBeGreaterThanOrEqual(0);
      }
    }),
  );
  expect(fold([1, 1].map((at) => ({ value: Number.MAX_VALUE, at }))).sum).toBe(Number.MAX_VALUE);
  expect(fold([1, 1].map((at) => ({ value: -Number.MAX_VALUE, at }))).sum).toBe(-Number.MAX_VALUE);
});

test('of readings with the same time the smallest is the first and the largest is the last', () => {
  const readings = [3, 1, 2].map((value) => ({ value, at: 5 }));
  expect(fold(readings)).toMatchObject({ first: 1, last: 3, firstAt: 5, lastAt: 5 });
  const merged = mergeAggregates(fold(readings), fold([{ value: 0, at: 5 }]));
  expect(merged).toMatchObject({ first: 0, last: 3 });
});

test('negative zero is the reading zero, so that merging does not depend on the order', () => {
  const a = createAggregate(-0, 1);
  addReading(a, 0, 1);
  const b = createAggregate(0, 1);
  addReading(b, -0, 1);
  expect(a).toEqual(b);
  expect(Object.is(a.min, 0)).toBe(true);
});

test('an aggregate is plain data that a structured clone keeps', () => {
  fc.assert(
    fc.property(arbitraryReadings, (readings) => {
      const aggregate = fold(readings);
      const clone = structuredClone(aggregate);
      expect(clone).toEqual(aggregate);
      addReading(clone, 7, 7);
      addReading(aggregate, 7, 7);
      expect(clone).toEqual(aggregate);
    }),
  );
});

test('an aggregate read without its distribution merges into one without, and takes no values', () => {
  const bare = { ...fold([{ value: 1, at: 1 }]), distribution: NO_DISTRIBUTION };
  const full = fold([{ value: 2, at: 2 }]);
  for (const copy of [bare, structuredClone(bare)]) {
    expect(mergeAggregates(copy, full).distribution).toBe(NO_DISTRIBUTION);
    expect(mergeAggregates(full, copy).distribution).toBe(NO_DISTRIBUTION);
  }
  expect(quantile(NO_DISTRIBUTION, 0.5)).toBeNaN();
  expect(() => addReading(bare, 3, 3)).toThrow(TypeError);
});
