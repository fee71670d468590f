import { describe, expect, test } from 'vitest';
import { SilenceWatch } from './silence-watch.ts';

const TICK_MS = 500;

describe('silence', () => {
  test('lasts since the latest sign', () => {
    const watch = new SilenceWatch(TICK_MS, 0);
    expect(watch.tick(500)).toBe(500);
    watch.heard(800);
    expect([1_000, 1_500, 2_000].map((now) => watch.tick(now))).toEqual([200, 700, 1_200]);
  });

  test('begins anew when the process was suspended', () => {
    const watch = new SilenceWatch(TICK_MS, 0);
    watch.tick(500);
    expect(watch.tick(60_000)).toBe(0);
    expect(watch.tick(60_500)).toBe(500);
  });

  test('goes on though ticks come late on a busy machine', () => {
    const watch = new SilenceWatch(TICK_MS, 0);
    expect([1_800, 3_600, 5_400].map((now) => watch.tick(now))).toEqual([1_800, 3_600, 5_400]);
  });
});
