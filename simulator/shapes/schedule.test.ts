import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFleetSchedule, createSingleSchedule } from './schedule.ts';

const options = fc.record({
  devices: fc.integer({ min: 1, max: 50 }),
  rate: fc.double({ min: 0.5, max: 500, noNaN: true }),
  durationMs: fc.integer({ min: 1, max: 10_000 }),
  seed: fc.integer(),
});

describe('the schedule of a fleet', () => {
  it('is ordered, within the run, complete, and gives each device its messages at one period', () => {
    fc.assert(
      fc.property(options, (given) => {
        const schedule = createFleetSchedule(given);
        const periodMs = (given.devices / given.rate) * 1_000;
        const sent = new Array<number>(given.devices).fill(0);
        let before = 0;
        for (let n = 0; n < schedule.total; n++) {
          const device = schedule.deviceOf(n);
          const sequence = sent[device] ?? 0;
          const offset = schedule.offsetMs(n);
          expect(offset).toBe(schedule.offsetOfMs(device, sequence));
          expect(offset).toBeGreaterThanOrEqual(before);
          before = offset;
          sent[device] = sequence + 1;
        }
        expect(before).toBeLessThanOrEqual(given.durationMs);
        for (const [device, count] of sent.entries()) {
          expect(schedule.offsetOfMs(device, count)).toBeGreaterThanOrEqual(given.durationMs - 1e-6);
          expect(schedule.offsetOfMs(device, 1) - schedule.offsetOfMs(device, 0)).toBeCloseTo(periodMs, 6);
        }
      }),
    );
  });

  it('offers the rate asked for', () => {
    expect(createFleetSchedule({ devices: 100, rate: 2_000, durationMs: 30_000, seed: 3 }).total).toBe(
      60_000,
    );
  });

  it('is the same for the same seed and another for another', () => {
    const given = { devices: 10, rate: 100, durationMs: 1_000, seed: 1 };
    const offsets = (seed: number) => {
      const schedule = createFleetSchedule({ ...given, seed });
      return Array.from({ length: schedule.total }, (_, n) => schedule.offsetMs(n));
    };
    expect(offsets(1)).toEqual(offsets(1));
    expect(offsets(2)).not.toEqual(offsets(1));
  });

  it('of a single device is evenly spaced from the start', () => {
    const schedule = createSingleSchedule(500, 4);
    expect([0, 1, 2, 3].map((n) => schedule.offsetMs(n))).toEqual([0, 2, 4, 6]);
  });
});
