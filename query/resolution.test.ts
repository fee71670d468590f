import { describe, expect, it } from 'vitest';
import { defaultResolution, planRange, type RangeNeed, settling } from './resolution.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** 20 min 47 s past a full hour. */
const NOW = 1_000 * DAY + 20 * MINUTE + 47 * SECOND;
const GRACE = 2 * SECOND;

const STORED = settling(
  [
    { resolutionMs: HOUR },
    { resolutionMs: 10 * SECOND, retentionMs: 7 * DAY },
    { resolutionMs: MINUTE, retentionMs: 30 * DAY },
  ],
  GRACE,
);

function plan(need: Partial<RangeNeed> & { readonly from: number }, stored = STORED) {
  return planRange(stored, { to: NOW, now: NOW, ...need });
}

/** Segments as `size from..to`, times in ms before the full hour. */
function drawn({ segments }: ReturnType<typeof planRange>): string[] {
  const hour = 1_000 * DAY;
  return segments.map(
    ({ resolutionMs, from, to }) =>
      `${resolutionMs / SECOND}s ${(from - hour) / SECOND}..${(to - hour) / SECOND}`,
  );
}

describe('the resolutions of a query', () => {
  it('are the largest that fit the range, with smaller ones at its unaligned ends and where they are not settled', () => {
    expect(drawn(plan({ from: NOW - 5 * HOUR }))).toEqual([
      '10s -16760..-16740',
      '60s -16740..-14400',
      '3600s -14400..-3600',
      '60s -3600..1140',
      '10s 1140..1250',
    ]);
  });

  it('are the largest that the bucket size is a multiple of', () => {
    expect(drawn(plan({ from: NOW - 2 * DAY, everyMs: 5 * MINUTE }))).toEqual([
      '60s -171600..1140',
      '10s 1140..1500',
    ]);
    expect(drawn(plan({ from: NOW - 3 * HOUR, to: NOW - 2 * HOUR, everyMs: 20 * SECOND }))).toEqual([
      '10s -9560..-5940',
    ]);
  });

  it('are the finest alone for a range that is not settled', () => {
    expect(drawn(plan({ from: NOW - 90 * SECOND }))).toEqual(['10s 1150..1250']);
  });

  it('use a window from a margin after its end on, not earlier', () => {
    const settledMs = GRACE + MINUTE;
    const at = (now: number) => drawn(plan({ from: 1_000 * DAY, to: 1_000 * DAY + MINUTE, now }));
    expect(at(1_000 * DAY + MINUTE + settledMs)).toEqual(['60s 0..60']);
    expect(at(1_000 * DAY + MINUTE + settledMs - 1)).toEqual(['10s 0..60']);
    const [finest] = settling([{ resolutionMs: 500 }], GRACE);
    expect(finest?.settledMs).toBe(GRACE + 30 * SECOND);
  });

  it('skip one that is no divisor of the next larger one', () => {
    const stored = settling(
      [{ resolutionMs: 10_000 }, { resolutionMs: 15_000 }, { resolutionMs: 40_000 }],
      0,
    );
    expect(drawn(plan({ from: 1_000 * DAY - 5_000, to: 1_000 * DAY + 85_000 }, stored))).toEqual([
      '10s -10..0',
      '40s 0..80',
      '10s 80..90',
    ]);
  });

  it('are one when it is asked for, settled or not', () => {
    const minute = plan({ from: NOW - 2 * HOUR, resolution: MINUTE });
    expect(drawn(minute)).toEqual(['60s -6000..1260']);
    expect(drawn(plan({ from: NOW - 2 * HOUR, resolution: 'finest' }))).toEqual(['10s -5960..1250']);
  });

  it('are refused when the bucket size is a multiple of none', () => {
    expect(() => plan({ from: 0, everyMs: 15_000 })).toThrow(
      'every is "15s"; expected a multiple of a stored resolution: 10s, 1m, 1h',
    );
    expect(() => plan({ from: 0, everyMs: 1 }, settling([{ resolutionMs: 10_000 }], 0))).toThrow(
      'every is "1ms"; expected a multiple of the stored resolution 10s',
    );
  });

  it('are refused when the one asked for is not stored, or does not divide the bucket size', () => {
    expect(() => plan({ from: 0, resolution: 5_000 })).toThrow(
      'resolution is "5s"; expected finest or a stored resolution: 10s, 1m, 1h',
    );
    expect(() => plan({ from: 0, resolution: HOUR, everyMs: MINUTE })).toThrow(
      'resolution is "1h"; expected a resolution that every, 1m, is a multiple of',
    );
  });

  it('are refused for an empty range', () => {
    expect(() => plan({ from: 5, to: 5 })).toThrow(
      'from is "1970-01-01T00:00:00.005Z"; expected a time before to, 1970-01-01T00:00:00.005Z',
    );
  });
});

describe('a range that reaches beyond what is kept', () => {
  it('is answered from what is kept longest, its ends moved out to whole windows', () => {
    const year = plan({ from: NOW - 365 * DAY, to: NOW - 364 * DAY });
    expect(drawn(year)).toEqual([`3600s ${-365 * 86_400}..${-364 * 86_400 + 3_600}`]);
    expect(year.completeFrom).toBe(year.from);
    const within = plan({ from: NOW - 100 * DAY, to: NOW - 100 * DAY + MINUTE });
    expect(drawn(within)).toEqual([`3600s ${-100 * 86_400}..${-100 * 86_400 + 3_600}`]);
  });

  it('begins with the smallest windows that are kept there', () => {
    const [first] = drawn(plan({ from: NOW - 20 * DAY }));
    expect(first).toBe(`60s ${-20 * 86_400 + 1_200}..${-20 * 86_400 + 3_600}`);
  });

  it('says from when it is complete', () => {
    const { from, completeFrom, segments } = plan({ from: NOW - 31 * DAY, everyMs: MINUTE });
    expect(from).toBe(1_000 * DAY - 31 * DAY + 20 * MINUTE);
    expect(completeFrom).toBe(1_000 * DAY - 30 * DAY + 21 * MINUTE);
    expect(segments[0]?.from).toBe(completeFrom);
  });

  it('is complete from its end when nothing of it is kept', () => {
    const need = { from: NOW - 50 * DAY, to: NOW - 49 * DAY, everyMs: MINUTE };
    const { to, completeFrom, segments, resolutionMs } = plan(need);
    expect([completeFrom, segments, resolutionMs]).toEqual([to, [], MINUTE]);
  });

  it('may be kept longer in smaller windows', () => {
    const stored = settling(
      [
        { resolutionMs: 10 * SECOND, retentionMs: 30 * DAY },
        { resolutionMs: HOUR, retentionMs: DAY },
      ],
      0,
    );
    const { segments, from, completeFrom } = plan({ from: NOW - 2 * DAY }, stored);
    expect(segments.map(({ resolutionMs }) => resolutionMs)).toEqual([10_000, HOUR, 10_000]);
    expect(completeFrom).toBe(from);
  });
});

describe('the resolution of a request that names none', () => {
  const resolutions = settling(
    [
      { resolutionMs: 10_000, retentionMs: 30 * 86_400_000 },
      { resolutionMs: 60_000, retentionMs: 180 * 86_400_000 },
    ],
    2_000,
  );
  const now = 1_800_000_000_000;
  const ask = (need: Partial<RangeNeed>) =>
    defaultResolution(resolutions, { from: now - 3_600_000, to: now, now, ...need });

  it('is the finest for a range of up to a day, where late readings are first', () => {
    expect(ask({})).toBe('finest');
    expect(ask({ from: now - 86_400_000 })).toBe('finest');
    expect(ask({ everyMs: 3_600_000 })).toBe('finest');
  });

  it('is left to the plan for a longer range, one no longer kept, or a bucket size that does not fit', () => {
    expect(ask({ from: now - 86_400_001 })).toBeUndefined();
    expect(ask({ from: now - 31 * 86_400_000, to: now - 31 * 86_400_000 + 1 })).toBeUndefined();
    expect(ask({ everyMs: 15_000 })).toBeUndefined();
  });
});
