import { describe, expect, test } from 'vitest';
import { ENGINES, type Fault, kindsOf, ruleOf } from './fault.ts';
import { LEAD_MS, MOST_AT_ONCE, planFaults, TAIL_MS } from './plan.ts';

const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);

function endOf({ atMs, durationMs }: Fault): number {
  return atMs + durationMs;
}

describe.each(ENGINES)('a plan for %s', (engine) => {
  test('is the same for the same seed and another for another', () => {
    const plan = planFaults({ engine, seed: 7, lengthMs: 180_000 });
    expect(planFaults({ engine, seed: 7, lengthMs: 180_000 })).toEqual(plan);
    expect(planFaults({ engine, seed: 8, lengthMs: 180_000 })).not.toEqual(plan);
  });

  test('of three minutes has every kind of fault', () => {
    for (const seed of SEEDS) {
      const kinds = planFaults({ engine, seed, lengthMs: 180_000 }).map(({ kind }) => kind);
      expect(new Set(kinds), `seed ${seed}`).toEqual(new Set(kindsOf(engine)));
    }
  });

  test.each([40_000, 60_000, 180_000])('of %d ms keeps every bound', (lengthMs) => {
    for (const seed of SEEDS) {
      const plan = planFaults({ engine, seed, lengthMs });
      expect(plan.length, `seed ${seed}`).toBeGreaterThan(0);
      for (const [index, fault] of plan.entries()) {
        const { targets, least, most, restMs } = ruleOf(fault.kind);
        expect(targets).toContain(fault.target);
        expect(fault.durationMs).toBeGreaterThanOrEqual(least);
        expect(fault.durationMs).toBeLessThanOrEqual(most);
        expect(fault.atMs).toBeGreaterThanOrEqual(Math.max(LEAD_MS, plan[index - 1]?.atMs ?? 0));
        expect(endOf(fault)).toBeLessThanOrEqual(lengthMs - TAIL_MS);
        const later = plan.slice(index + 1);
        const again = later.find(({ target }) => target === fault.target);
        expect(again?.atMs ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(endOf(fault) + restMs);
        const before = plan.slice(0, index);
        expect(before.filter((other) => endOf(other) > fault.atMs).length).toBeLessThan(MOST_AT_ONCE);
      }
    }
  });
});

test('faults overlap in a plan', () => {
  const overlapping = SEEDS.filter((seed) => {
    const plan = planFaults({ engine: 'scaled-out', seed, lengthMs: 180_000 });
    return plan.some((fault, index) => (plan[index + 1]?.atMs ?? Number.POSITIVE_INFINITY) < endOf(fault));
  });
  expect(overlapping.length).toBe(SEEDS.length);
});

test('a plan that is written down stays what it is', () => {
  const [first, second] = planFaults({ engine: 'scaled-out', seed: 1, lengthMs: 180_000 });
  expect([first, second]).toMatchInlineSnapshot(`
    [
      {
        "atMs": 7069,
        "durationMs": 3296,
        "kind": "kill-gateway",
        "target": "gateway-2",
      },
      {
        "atMs": 11473,
        "durationMs": 7607,
        "kind": "slow-devices",
        "target": "device-link",
      },
    ]
  `);
});
