import type { Aggregate } from '../../metric-store/aggregate.ts';
import { type Distribution, quantile, RELATIVE_ACCURACY } from '../../metric-store/distribution.ts';
import type { ExpectedWindow } from './expected-windows.ts';

/** A figure of a window that the store has otherwise. */
export interface DifferingField {
  readonly field: string;
  readonly expected: number;
  readonly seen: number;
}

const EXACT = ['count', 'min', 'max', 'first', 'firstAt', 'last', 'lastAt'] as const;
const PERCENTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

/** Relative error that summing in another order may bring. */
const TOLERANCE = 1e-9;
/** Doubles this small have lost their precision. */
const TINY = 1e-300;
/** A sketch tells values apart that are smaller than its largest by no more than this. */
const SKETCH_RANGE = 1e-17;

/**
 * The figures in which a stored aggregate differs from the expected one: count, min, max, first and last exactly, sum and
 * m2 beyond 1e-9, percentiles exactly while the raw values are kept, else beyond the sketch's error.
 */
export function differingFields(expected: ExpectedWindow, seen: Aggregate): DifferingField[] {
  const fields: DifferingField[] = EXACT.filter((field) => expected[field] !== seen[field]).map((field) => ({
    field,
    expected: expected[field],
    seen: seen[field],
  }));
  const { sumOfMagnitudes, count } = expected;
  // Where all values are nearly equal, rounding of the values themselves outweighs their deviations.
  const rounding = 1e-15 * (sumOfMagnitudes ** 2 / count);
  compareSum('sum', expected.sum, seen.sum, TOLERANCE * sumOfMagnitudes + TINY, fields);
  compareSum('m2', expected.m2, seen.m2, TOLERANCE * expected.m2 + rounding + TINY, fields);
  if (expected.count === seen.count) fields.push(...differingPercentiles(expected.values, seen.distribution));
  return fields;
}

function compareSum(
  field: string,
  expected: number,
  seen: number,
  tolerance: number,
  fields: DifferingField[],
): void {
  // Sums that leave the range of a double are stored as its edge.
  const edge = Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, expected));
  if (Math.abs(seen - edge) > tolerance) fields.push({ field, expected: edge, seen });
}

function differingPercentiles(values: readonly number[], distribution: Distribution): DifferingField[] {
  if (distribution.kind === 'raw') return differingValue(values, distribution.values);
  const largest = Math.max(Math.abs(values[0] ?? 0), Math.abs(values.at(-1) ?? 0));
  return PERCENTILES.flatMap((q) => {
    const expected =
      values[Math.max(0, Math.ceil(q * values.length * (1 - 4 * Number.EPSILON)) - 1)] ?? Number.NaN;
    const seen = quantile(distribution, q);
    const tolerance = (RELATIVE_ACCURACY + TOLERANCE) * Math.abs(expected) + SKETCH_RANGE * largest + TINY;
    return Math.abs(seen - expected) > tolerance ? [{ field: `p${q * 100}`, expected, seen }] : [];
  });
}

function differingValue(values: readonly number[], raw: readonly number[]): DifferingField[] {
  const seen = Float64Array.from(raw).sort();
  if (seen.length !== values.length)
    return [{ field: 'number of raw values', expected: values.length, seen: seen.length }];
  const at = values.findIndex((value, index) => value !== seen[index]);
  if (at === -1) return [];
  const field = `raw value ${at + 1} of ${values.length}`;
  return [{ field, expected: values[at] ?? Number.NaN, seen: seen[at] ?? Number.NaN }];
}
