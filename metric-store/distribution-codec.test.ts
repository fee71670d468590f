import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Distribution, MAX_RAW_VALUES, mergeDistributions, NO_DISTRIBUTION } from './distribution.ts';
import { decodeDistribution, encodeDistribution } from './distribution-codec.ts';
import { UnreadableDistributionError } from './errors.ts';
import { aggregateOf, arbitraryAggregate, arbitraryValue } from './rows.fixture.ts';

function normal(distribution: Distribution) {
  return distribution.kind === 'raw' ? [...Float64Array.from(distribution.values).sort()] : distribution;
}

test('any distribution comes back', () => {
  fc.assert(
    fc.property(arbitraryAggregate, (aggregate) => {
      const decoded = decodeDistribution(encodeDistribution(aggregate.distribution), aggregate);
      expect(decoded.kind).toBe(aggregate.distribution.kind);
      expect(normal(decoded)).toEqual(normal(aggregate.distribution));
    }),
    { numRuns: 500 },
  );
});

test('equal distributions have equal encodings, in whatever order the values came', () => {
  const reordered = fc
    .array(fc.oneof(arbitraryValue, fc.constantFrom(0, -0)), { minLength: 1, maxLength: 100 })
    .chain((values) =>
      fc.tuple(
        fc.constant(values),
        fc.shuffledSubarray(values, { minLength: values.length, maxLength: values.length }),
      ),
    );
  fc.assert(
    fc.property(reordered, ([values, shuffled]) => {
      const [a, b] = [aggregateOf(values).distribution, aggregateOf(shuffled).distribution];
      expect(encodeDistribution(a)).toEqual(encodeDistribution(b));
      if (values.length > MAX_RAW_VALUES) return;
      const raw = (list: number[]) => encodeDistribution({ kind: 'raw', values: list });
      expect(raw(values)).toEqual(raw(shuffled));
    }),
  );
});

test('what count, min and max give already takes no bytes', () => {
  for (const values of [[5], [-0], [1, 2], [2, 1], [7, 7, 7], Array(MAX_RAW_VALUES).fill(-3)]) {
    const distribution: Distribution = { kind: 'raw', values };
    expect(encodeDistribution(distribution)).toHaveLength(0);
    const given = { count: values.length, min: Math.min(...values), max: Math.max(...values) };
    expect(normal(decodeDistribution(Buffer.alloc(0), given))).toEqual(normal(distribution));
  }
});

test('a distribution that was left out comes back as none', () => {
  const bytes = encodeDistribution(NO_DISTRIBUTION);
  expect(bytes).toEqual(Buffer.from([3]));
  expect(decodeDistribution(bytes, { count: 5, min: 1, max: 2 })).toBe(NO_DISTRIBUTION);
});

test('more raw values than are kept cannot be encoded', () => {
  const values = Array.from({ length: MAX_RAW_VALUES + 1 }, (_, i) => i);
  expect(() => encodeDistribution({ kind: 'raw', values })).toThrow(RangeError);
});

test('counts up to 2^53 come back', () => {
  let distribution = aggregateOf(Array.from({ length: 70 }, (_, i) => i - 30)).distribution;
  let count = 70;
  while (count < 2 ** 52) {
    distribution = mergeDistributions(distribution, distribution);
    count *= 2;
  }
  const bytes = encodeDistribution(distribution);
  expect(decodeDistribution(bytes, { count, min: -30, max: 39 })).toEqual(distribution);
});

describe('the bytes of version 1', () => {
  test('raw values', () => {
    const bytes = encodeDistribution({ kind: 'raw', values: [3, -1, 1.5, 2] });
    expect(bytes.toString('hex')).toBe('01000000000000f83f0000000000000040');
    expect(decodeDistribution(bytes, { count: 4, min: -1, max: 3 })).toEqual({
      kind: 'raw',
      values: [-1, 1.5, 2, 3],
    });
  });

  test('a sketch', () => {
    const distribution: Distribution = {
      kind: 'sketch',
      positive: new Map([
        [-2, 1],
        [0, 300],
        [1, 7],
      ]),
      negative: new Map([[200, 2]]),
      zero: 5,
    };
    const bytes = encodeDistribution(distribution);
    expect(bytes.toString('hex')).toBe('02' + '05' + '03' + '0301' + '01ac02' + '0007' + '01' + '900302');
    expect(decodeDistribution(bytes, { count: 315, min: 0, max: 1 })).toEqual(distribution);
  });
});

describe('damaged bytes are refused by name', () => {
  const cases: Record<string, { hex: string; count: number; min?: number; max?: number }> = {
    'an unknown format': { hex: '04', count: 3 },
    'format zero': { hex: '00', count: 3 },
    'no bytes for three values': { hex: '', count: 3, min: 1, max: 2 },
    'no bytes for too many equal values': { hex: '', count: 65, min: 1, max: 1 },
    'no bytes for no values': { hex: '', count: 0, min: 1, max: 1 },
    'raw values cut off': { hex: '01000000000000f8', count: 3 },
    'fewer raw values than counted': { hex: '01000000000000f83f', count: 4 },
    'more raw values than are kept': { hex: `01${'000000000000f83f'.repeat(63)}`, count: 65, min: 1, max: 2 },
    'raw values out of order': { hex: '010000000000000040000000000000f83f', count: 4 },
    'a raw value below the minimum': { hex: '01000000000000f8bf', count: 3 },
    'a raw value above the maximum': { hex: '010000000000005940', count: 3 },
    'a raw value that is no number': { hex: '01000000000000f87f', count: 3 },
    'bytes after a missing distribution': { hex: '0300', count: 3 },
    'a sketch cut off': { hex: '0205', count: 5 },
    'a sketch cut off within a number': { hex: '0280', count: 5 },
    'bytes after a sketch': { hex: '0246000000', count: 70 },
    'a sketch of another count': { hex: '02460000', count: 71 },
    'an empty bucket': { hex: '024601000000', count: 70 },
    'a number with a leading zero': { hex: '02c6000000', count: 70 },
    'a number beyond 2^53': { hex: '02ffffffffffffffff7f0000', count: 70 },
    'a bucket no double falls into': { hex: '020001f8fb0446', count: 70 },
    'buckets too far apart': { hex: '0200020001ff0f4500', count: 70 },
    'too many buckets': { hex: '020081100000', count: 70 },
  };
  for (const [name, { hex, count, min = 0, max = 3 }] of Object.entries(cases)) {
    test(name, () => {
      const decode = () => decodeDistribution(Buffer.from(hex, 'hex'), { count, min, max });
      expect(decode).toThrow(UnreadableDistributionError);
    });
  }

  test('a flipped bit, a lost byte or any other bytes never fail in another way', () => {
    fc.assert(
      fc.property(
        arbitraryAggregate,
        fc.nat(),
        fc.nat(7),
        fc.uint8Array({ maxLength: 40 }),
        (a, at, bit, junk) => {
          const bytes = encodeDistribution(a.distribution);
          const flipped = Buffer.from(bytes);
          const position = at % Math.max(1, bytes.length);
          if (bytes.length > 0) flipped[position] = (flipped[position] ?? 0) ^ (1 << bit);
          for (const damaged of [flipped, bytes.subarray(0, position), junk]) {
            try {
              decodeDistribution(damaged, a);
            } catch (error) {
              expect(error).toBeInstanceOf(UnreadableDistributionError);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
