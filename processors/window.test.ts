import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { panePositionOf, windowStartOf } from './window.ts';

const SIZE = 10_000;

describe('the window of a time', () => {
  test('includes its start and excludes its end', () => {
    expect(windowStartOf(20_000, SIZE)).toBe(20_000);
    expect(windowStartOf(29_999, SIZE)).toBe(20_000);
    expect(windowStartOf(30_000, SIZE)).toBe(30_000);
  });

  test('is aligned to the epoch before the epoch too', () => {
    expect(windowStartOf(-1, SIZE)).toBe(-10_000);
    expect(windowStartOf(-10_000, SIZE)).toBe(-10_000);
  });
});

describe('the pane of a reading', () => {
  test('is pane 0 until the watermark reaches the end of the window', () => {
    expect(panePositionOf(25_000, 29_999, SIZE)).toEqual({ windowStart: 20_000, pane: 0, closesAt: 30_000 });
  });

  test('is pane 1 from the moment the watermark reaches the end, and closes with the next window', () => {
    expect(panePositionOf(25_000, 30_000, SIZE)).toEqual({ windowStart: 20_000, pane: 1, closesAt: 40_000 });
    expect(panePositionOf(25_000, 39_999, SIZE)).toEqual({ windowStart: 20_000, pane: 1, closesAt: 40_000 });
  });

  test('counts the windows by which it is late', () => {
    expect(panePositionOf(25_000, 1_030_000, SIZE)).toEqual({
      windowStart: 20_000,
      pane: 101,
      closesAt: 1_040_000,
    });
  });

  test('is pane 0 of a window that lies ahead', () => {
    expect(panePositionOf(95_000, 12_000, SIZE)).toEqual({ windowStart: 90_000, pane: 0, closesAt: 100_000 });
  });

  test('contains the reading, closes after the watermark, and late panes close with the current window', () => {
    const time = fc.integer({ min: -1e12, max: 4e12 });
    fc.assert(
      fc.property(time, time, fc.integer({ min: 1, max: 3_600_000 }), (timestamp, watermark, size) => {
        const { windowStart, pane, closesAt } = panePositionOf(timestamp, watermark, size);
        expect(windowStart <= timestamp && timestamp < windowStart + size).toBe(true);
        expect(closesAt).toBeGreaterThan(watermark);
        expect(Number.isInteger(pane) && pane >= 0).toBe(true);
        expect(closesAt).toBe(windowStart + size + pane * size);
        if (pane > 0) expect(closesAt - watermark).toBeLessThanOrEqual(size);
      }),
    );
  });
});
