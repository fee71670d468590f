import { DDSketch } from '@datadog/sketches-js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addValue,
  type Distribution,
  MAX_BUCKETS,
  MAX_RAW_VALUES,
  mergeDistributions,
  quantile,
  RELATIVE_ACCURACY,
} from './distribution.ts';
import { arbitraryValue } from './rows.fixture.ts';

const arbitraryValues = fc.array(arbitraryValue, { minLength: 1, maxLength: 200 });
const arbitraryQuantile = fc.double({ min: 0, max: 1, noNaN: true });
/** Magnitudes that one sketch holds without folding buckets together. */
const arbitraryNarrow = fc.oneof(
  fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
  fc.double({ min: -1e9, max: -1e-6, noNaN: true }),
  fc.constantFrom(0, 1, -1),
);

function distributionOf(values: readonly number[]): Distribution {
  let distribution: Distribution = { kind: 'raw', values: [] };
  for (const value of values) distribution = addValue(distribution, value);
  return distribution;
}

function exactQuantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

function normal(distribution: Distribution) {
  return distribution.kind === 'raw' ? [...Float64Array.from(distribution.values).sort()] : distribution;
}

test('percentiles are exact while the values are kept', () => {
  const few = fc.array(arbitraryValue, { minLength: 1, maxLength: MAX_RAW_VALUES });
  fc.assert(
    fc.property(few, arbitraryQuantile, (values, q) => {
      expect(quantile(distributionOf(values), q)).toBe(exactQuantile(values, q));
    }),
  );
});

test('percentiles of a sketch are within the stated relative error', () => {
  const many = fc.array(arbitraryNarrow, { minLength: MAX_RAW_VALUES + 1, maxLength: 400 });
  fc.assert(
    fc.property(many, arbitraryQuantile, (values, q) => {
      const distribution = distributionOf(values);
      expect(distribution.kind).toBe('sketch');
      const exact = exactQuantile(values, q);
      const error = Math.abs(quantile(distribution, q) - exact);
      expect(error).toBeLessThanOrEqual(Math.abs(exact) * RELATIVE_ACCURACY * (1 + 1e-6));
    }),
  );
});

test('the largest doubles are within the stated relative error', () => {
  for (const value of [Number.MAX_VALUE, Number.MAX_VALUE / 2, Number.MAX_VALUE * 0.7, 1e308, 2 ** -1022]) {
    for (const sign of [1, -1]) {
      const found = quantile(distributionOf(Array(100).fill(sign * value)), 0.5);
      expect(Math.abs(found / value - sign)).toBeLessThanOrEqual(RELATIVE_ACCURACY * (1 + 1e-6));
    }
  }
});

test('values below the smallest normal double count as zero', () => {
  const distribution = distributionOf([...Array(40).fill(Number.MIN_VALUE), ...Array(40).fill(-1e-310)]);
  expect(distribution).toEqual({ kind: 'sketch', positive: new Map(), negative: new Map(), zero: 80 });
  expect(quantile(distribution, 0.9)).toBe(0);
});

test('a sketch gives the percentiles of the reference implementation', () => {
  // The reference computes ranks in floating point: exact for one more value than a power of two.
  const many = fc.oneof(
    ...[65, 129, 257].map((n) => fc.array(arbitraryNarrow, { minLength: n, maxLength: n })),
  );
  fc.assert(
    fc.property(many, (values) => {
      const ours = distributionOf(values);
      const reference = new DDSketch({ relativeAccuracy: RELATIVE_ACCURACY });
      for (const value of values) reference.accept(value);
      for (let rank = 0; rank < values.length; rank += 13) {
        const theirs = reference.getValueAtQuantile(rank / (values.length - 1));
        const found = quantile(ours, (rank + 0.5) / values.length);
        expect(Math.abs(found - theirs)).toBeLessThanOrEqual(Math.abs(theirs) * 1e-9);
      }
    }),
  );
});

test('any split and order of values merges to the same distribution as adding one by one', () => {
  fc.assert(
    fc.property(arbitraryValues, arbitraryValues, arbitraryValues, (a, b, c) => {
      const all = normal(distributionOf([...a, ...b, ...c]));
      const [x, y, z] = [distributionOf(a), distributionOf(b), distributionOf(c)];
      expect(normal(mergeDistributions(mergeDistributions(x, y), z))).toEqual(all);
      expect(normal(mergeDistributions(x, mergeDistributions(y, z)))).toEqual(all);
      expect(normal(mergeDistributions(mergeDistributions(z, x), y))).toEqual(all);
      expect(normal(distributionOf([...c, ...b, ...a].reverse()))).toEqual(all);
    }),
  );
});

test('merging shares nothing with its arguments', () => {
  fc.assert(
    fc.property(arbitraryValues, arbitraryValues, (a, b) => {
      const [left, right] = [distributionOf(a), distributionOf(b)];
      const before = structuredClone([left, right]);
      let merged = mergeDistributions(left, right);
      for (let i = 0; i < 70; i++) merged = addValue(merged, i);
      expect([left, right]).toEqual(before);
    }),
  );
});

test('a sketch over the whole range of doubles keeps its bound, and does not depend on the order', () => {
  const magnitudes = fc.integer({ min: -1_000, max: 1_000 }).map((exponent) => 2 ** exponent);
  const wide = fc.array(magnitudes, { minLength: 100, maxLength: 300 });
  fc.assert(
    fc.property(wide, (values) => {
      const distribution = distributionOf(values);
      if (distribution.kind !== 'sketch') throw new TypeError('not a sketch');
      const buckets = [...distribution.positive.keys()];
      expect(Math.max(...buckets) - Math.min(...buckets)).toBeLessThan(MAX_BUCKETS);
      expect([...distribution.positive.values()].reduce((sum, n) => sum + n, 0)).toBe(values.length);
      expect(distributionOf([...values].reverse())).toEqual(distribution);
      const half = Math.floor(values.length / 2);
      const halves = [distributionOf(values.slice(0, half)), distributionOf(values.slice(half))] as const;
      expect(mergeDistributions(...halves)).toEqual(distribution);
    }),
  );
});

test('values far below the kept range are counted in its lowest bucket', () => {
  const values = [...Array(50).fill(1e-300), ...Array(50).fill(1e300)];
  const distribution = distributionOf(values);
  expect(quantile(distribution, 0.99) / 1e300).toBeCloseTo(1, 1);
  expect(quantile(distribution, 0.25)).toBeLessThan(1e300 / 1e17);
});

test('an empty distribution has no percentiles', () => {
  expect(quantile({ kind: 'raw', values: [] }, 0.5)).toBeNaN();
  expect(quantile({ kind: 'sketch', positive: new Map(), negative: new Map(), zero: 0 }, 0.5)).toBeNaN();
});
