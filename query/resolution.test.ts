import { describe, expect, it } from 'vitest';
import { chooseResolution } from './resolution.ts';

const DAY = 86_400_000;
const NOW = 1_000 * DAY;
const STORED = [
  { resolutionMs: 3_600_000 },
  { resolutionMs: 10_000, retentionMs: 7 * DAY },
  { resolutionMs: 60_000, retentionMs: 30 * DAY },
];

function choose(days: number, everyMs?: number): number {
  const need = { from: NOW - days * DAY, to: NOW, now: NOW, ...(everyMs && { everyMs }) };
  return chooseResolution(STORED, need);
}

describe('the resolution of a query', () => {
  it('is the finest while the range is short', () => {
    expect(choose(0.1)).toBe(10_000);
    expect(choose(0.1, 3_600_000)).toBe(10_000);
  });

  it('is coarser for a range of many windows', () => {
    expect(choose(6)).toBe(60_000);
    expect(choose(25)).toBe(3_600_000);
  });

  it('is one that the bucket size is a multiple of', () => {
    expect(choose(25, 60_000)).toBe(60_000);
    expect(choose(6, 20_000)).toBe(10_000);
  });

  it('reaches back to the start of the range, or else as far as possible', () => {
    const kept = [STORED[1], STORED[2]].flatMap((stored) => stored ?? []);
    const need = { from: NOW - 8 * DAY, to: NOW - 7.9 * DAY, now: NOW };
    expect(chooseResolution(kept, need)).toBe(60_000);
    expect(chooseResolution(kept, { ...need, from: NOW - 400 * DAY, to: NOW - 399 * DAY })).toBe(60_000);
  });

  it('is refused when the bucket size is a multiple of none', () => {
    expect(() => choose(1, 15_000)).toThrow(
      'every is "15s"; expected a multiple of a stored resolution: 10s, 1m, 1h',
    );
    const need = { from: 0, to: 1, now: 1, everyMs: 1 };
    expect(() => chooseResolution([{ resolutionMs: 10_000 }], need)).toThrow(
      'every is "1ms"; expected a multiple of the stored resolution 10s',
    );
  });
});
