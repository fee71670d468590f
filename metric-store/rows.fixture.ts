import fc from 'fast-check';
import { type Aggregate, addReading, createAggregate } from './aggregate.ts';
import type { WindowAggregate } from './metric-store.ts';

/** For tests: finite doubles of every magnitude, with the edges of the range among them. */
export const arbitraryValue = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ noNaN: true, min: -1e6, max: 1e6 }),
  fc.integer({ min: -5, max: 5 }),
  fc.constantFrom(Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, 1e300, -1e300, 1e-300, 2 ** -1022),
);

/** For tests: an aggregate whose distribution fits, and whose other fields are any number a store has to keep. */
export const arbitraryAggregate: fc.Arbitrary<Aggregate> = fc
  .record({
    values: fc.array(arbitraryValue, { minLength: 1, maxLength: 90 }),
    loose: fc.record({
      sum: arbitraryValue,
      first: arbitraryValue,
      firstAt: fc.maxSafeInteger(),
      last: arbitraryValue,
      lastAt: fc.maxSafeInteger(),
      m2: arbitraryValue,
    }),
  })
  .map(({ values, loose }) => ({ ...aggregateOf(values), ...loose }));

/** For tests: rows of one metric and resolution with distinct identities, close to the given time. */
export function arbitraryRows(metric: string, resolutionMs: number, around: number) {
  const first = Math.floor(around / resolutionMs);
  const identity = fc.record({
    deviceId: fc.stringMatching(/^[A-Za-z0-9._:-]{1,12}$/),
    windowStart: fc.integer({ min: first, max: first + 5 }).map((n) => n * resolutionMs),
    pane: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: resolutionMs * 1_000 - 1 })),
  });
  const row = fc.record({ identity, aggregate: arbitraryAggregate }).map(
    ({ identity: { deviceId, windowStart, pane }, aggregate }): WindowAggregate => ({
      deviceId,
      metric,
      resolutionMs,
      windowStart,
      pane,
      aggregate,
    }),
  );
  return fc.uniqueArray(row, {
    minLength: 1,
    maxLength: 30,
    selector: ({ deviceId, windowStart, pane }) => `${deviceId} ${windowStart} ${pane}`,
  });
}

/** For tests: the aggregate of values whose event times ascend from 1. */
export function aggregateOf(values: readonly number[]): Aggregate {
  const [first = 0, ...rest] = values;
  const aggregate = createAggregate(first, 1);
  rest.forEach((value, index) => {
    addReading(aggregate, value, index + 2);
  });
  return aggregate;
}
