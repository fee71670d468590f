import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SequenceSet } from './sequence-set.ts';

describe('a sequence set', () => {
  it('holds what a set of numbers holds, whatever the order of additions', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 40 })), fc.nat({ max: 60 }), (added, end) => {
        const set = new SequenceSet();
        const model = new Set<number>();
        for (const value of added) {
          expect(set.add(value)).toBe(!model.has(value));
          model.add(value);
        }
        const all = Array.from({ length: 60 }, (_, value) => value);
        expect(set.size).toBe(model.size);
        expect([...set.values()]).toEqual(all.filter((value) => model.has(value)));
        expect(all.filter((value) => set.has(value))).toEqual([...set.values()]);
        expect([...set.gaps(end)]).toEqual(all.filter((value) => value < end && !model.has(value)));
      }),
    );
  });
});
