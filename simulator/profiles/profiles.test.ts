import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { machine } from './machine.ts';
import { cyclePosition, uniform } from './noise.ts';
import { thermostat } from './thermostat.ts';

const YEAR_3000 = 32_503_680_000_000;
const someone = {
  seed: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  device: fc.nat({ max: 100_000 }),
  timestamp: fc.integer({ min: 0, max: YEAR_3000 }),
};

describe.each([thermostat, machine])('the profile $name', (profile) => {
  it('gives every metric a finite value within its bounds, at any time, for any device and seed', () => {
    fc.assert(
      fc.property(fc.record(someone), ({ seed, device, timestamp }) => {
        const values = profile.valuesAt(seed, device, timestamp);
        expect(values).toHaveLength(profile.metrics.length);
        for (const [i, { min, max, kind }] of profile.metrics.entries()) {
          const value = values[i];
          expect(value).toSatisfy(Number.isFinite);
          expect(value).toBeGreaterThanOrEqual(min);
          expect(value).toBeLessThanOrEqual(max);
          if (kind === 'boolean') expect([0, 1]).toContain(value);
        }
      }),
    );
  });

  it('gives the same values again, in whatever order they are asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.record(someone), { minLength: 1 }), (asked) => {
        const values = asked.map((at) => profile.valuesAt(at.seed, at.device, at.timestamp));
        const again = asked.toReversed().map((at) => profile.valuesAt(at.seed, at.device, at.timestamp));
        expect(again.toReversed()).toEqual(values);
      }),
    );
  });

  it('differs between seeds, devices and times', () => {
    const at = 1_795_000_000_000;
    const base = profile.valuesAt(1, 0, at).join();
    expect(profile.valuesAt(2, 0, at).join()).not.toBe(base);
    expect(profile.valuesAt(1, 1, at).join()).not.toBe(base);
    expect(profile.valuesAt(1, 0, at + 60_000).join()).not.toBe(base);
  });

  it('switches its boolean on and off within an hour', () => {
    const index = profile.metrics.findIndex(({ kind }) => kind === 'boolean');
    const minutes = Array.from({ length: 60 }, (_, minute) => profile.valuesAt(7, 3, minute * 60_000)[index]);
    expect(new Set(minutes)).toEqual(new Set([0, 1]));
  });
});

describe('noise', () => {
  it('is spread evenly over [0, 1)', () => {
    const tenths = new Array<number>(10).fill(0);
    for (let step = 0; step < 20_000; step++) {
      const tenth = Math.floor(10 * uniform(1, 2, 3, step));
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    expect(Math.min(...tenths)).toBeGreaterThan(1_800);
    expect(Math.max(...tenths)).toBeLessThan(2_200);
  });

  it('puts a time into its cycle, shifted by the phase', () => {
    expect(cyclePosition(2_500, 1_000, 0)).toBe(0.5);
    expect(cyclePosition(2_500, 1_000, 0.75)).toBe(0.25);
  });
});
