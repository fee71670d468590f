import fc from 'fast-check';
import { expect, test } from 'vitest';
import { alignRange, cutIntoSlices, type Slice } from './slices.ts';

async function slicesOf(starts: readonly number[], range: Slice, resolutionMs: number, maxRows: number) {
  const slices: Slice[] = [];
  const countRows = async (slice: Slice, widthMs: number) => {
    const counts = new Map<number, number>();
    for (const start of starts) {
      if (start < slice.from || start >= slice.to) continue;
      const bucket = Math.floor(start / widthMs) * widthMs;
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
    return [...counts].map(([start, rows]) => ({ start, rows })).sort((a, b) => a.start - b.start);
  };
  for await (const slice of cutIntoSlices(range, { resolutionMs, maxRows, countRows })) slices.push(slice);
  return slices;
}

test('slices hold every row of the range once, in order, and no more rows than allowed', async () => {
  const starts = fc.array(
    fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 1_000_000 })).map((n) => n * 10),
    { maxLength: 200 },
  );
  const edge = fc.integer({ min: -100, max: 11_000_000 });
  await fc.assert(
    fc.asyncProperty(starts, edge, edge, fc.integer({ min: 1, max: 50 }), async (rows, from, to, maxRows) => {
      const range = alignRange(from, to, 10);
      const slices = await slicesOf(rows, range, 10, maxRows);
      const within = (slice: Slice) => rows.filter((start) => start >= slice.from && start < slice.to);
      expect(slices.flatMap(within).length).toBe(rows.filter((row) => row >= from && row < to).length);
      let end = range.from;
      for (const slice of slices) {
        expect(slice.from).toBeGreaterThanOrEqual(end);
        expect(slice.to).toBeGreaterThan(slice.from);
        end = slice.to;
        if (slice.to - slice.from > 10) expect(within(slice).length).toBeLessThanOrEqual(maxRows);
      }
      expect(end).toBeLessThanOrEqual(Math.max(range.to, range.from));
    }),
  );
});

test('few rows in an endless range are one slice', async () => {
  const range = alignRange(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 1_000);
  expect(await slicesOf([5_000, 1_700_000_000_000], range, 1_000, 2)).toHaveLength(1);
});
