import type { DeviceExpectation, Packet } from './expectation.ts';
import {
  EMPTY_TALLY,
  type ExpectedTally,
  equals,
  isWithin,
  isWithinRepeats,
  type Tally,
  withValue,
} from './tally.ts';

/** What is wrong with one aggregate: too few readings, some twice, or values that nothing sent explains. */
export interface Difference {
  readonly kind: 'missing' | 'counted-twice' | 'differs';
  readonly deviceId: string;
  readonly metric: string;
  /** Of the acknowledged readings alone. */
  readonly expected: Tally;
  /** Null when the store has nothing. */
  readonly seen: Tally | null;
}

/** Counts are of device messages: objects with a timestamp and metrics, of which an MQTT message may carry several. */
export interface Finding {
  readonly missing: number;
  readonly countedTwice: number;
  /** Never acknowledged, yet in the aggregates: permitted. */
  readonly unknownCounted: number;
  readonly differences: readonly Difference[];
}

/** Up to this many uncertain messages, every combination of them is tried; beyond, bounds are compared. */
const MAX_COMBINED = 12;

/**
 * Compares what the store has of a device with what it must have. Exact where every message was acknowledged once.
 * With unknown or repeated messages the aggregates have to equal, in all metrics at once, the certain ones plus some
 * combination of those; where there are more than twelve, they have to lie within the bounds of such combinations.
 * `seen` is by metric.
 */
export function reconcile(expectation: DeviceExpectation, seen: ReadonlyMap<string, Tally>): Finding {
  const { metrics, certain, unknown, repeated } = expectation;
  const observed = metrics.map((metric) => seen.get(metric) ?? EMPTY_TALLY);
  const shortfall = certain.reduce(
    (most, { count }, i) => Math.max(most, count - (observed[i]?.count ?? 0)),
    0,
  );
  if (shortfall > 0) return shortFinding(expectation, seen, shortfall);

  const once = explain(certain, [unknown], observed);
  if (once !== undefined)
    return { missing: 0, countedTwice: 0, unknownCounted: once[0] ?? 0, differences: [] };

  const excess = (observed[0]?.count ?? 0) - (certain[0]?.count ?? 0);
  const surplus = Math.max(1, excess - samplesIn(unknown));
  const twice = explain(certain, [unknown, repeated], observed);
  if (twice !== undefined) {
    const [unknownCounted = 0, again = 0] = twice;
    return twiceFinding(expectation, seen, again > 0 ? again : surplus, unknownCounted);
  }
  const anyTwice = observed.every((tally, i) => {
    const expected = certain[i] ?? EMPTY_TALLY;
    const sameExcess = tally.count - expected.count === excess;
    return sameExcess && excess > 0 && isWithinRepeats(expected, columnOf(unknown, i), tally);
  });
  if (anyTwice)
    return twiceFinding(expectation, seen, surplus, Math.min(excess - surplus, samplesIn(unknown)));
  return {
    missing: 0,
    countedTwice: 0,
    unknownCounted: 0,
    differences: unexplained(expectation, seen),
  };
}

function shortFinding(
  expectation: DeviceExpectation,
  seen: ReadonlyMap<string, Tally>,
  missing: number,
): Finding {
  const differences = differencesOf(
    expectation,
    seen,
    'missing',
    (expected, { count }) => count < expected.count,
  );
  return { missing, countedTwice: 0, unknownCounted: 0, differences };
}

function twiceFinding(
  expectation: DeviceExpectation,
  seen: ReadonlyMap<string, Tally>,
  countedTwice: number,
  unknownCounted: number,
): Finding {
  const differences = differencesOf(
    expectation,
    seen,
    'counted-twice',
    (expected, { count }) => count > expected.count,
  );
  return { missing: 0, countedTwice, unknownCounted, differences };
}

/** The aggregates that lie outside every bound; where each is possible by itself, all that are not as certain. */
function unexplained(expectation: DeviceExpectation, seen: ReadonlyMap<string, Tally>): Difference[] {
  const { metrics, unknown, repeated } = expectation;
  const extras = new Map(metrics.map((metric, i) => [metric, columnOf([...unknown, ...repeated], i)]));
  const impossible = differencesOf(
    expectation,
    seen,
    'differs',
    (expected, tally, metric) =>
      !equals(expected, tally) && !isWithin(expected, extras.get(metric) ?? [], tally),
  );
  if (impossible.length > 0) return impossible;
  return differencesOf(expectation, seen, 'differs', (expected, tally) => !equals(expected, tally));
}

function differencesOf(
  { deviceId, metrics, certain }: DeviceExpectation,
  seen: ReadonlyMap<string, Tally>,
  kind: Difference['kind'],
  applies: (expected: ExpectedTally, seen: Tally, metric: string) => boolean,
): Difference[] {
  return metrics.flatMap((metric, i) => {
    const expected = certain[i] ?? EMPTY_TALLY;
    const tally = seen.get(metric);
    if (!applies(expected, tally ?? EMPTY_TALLY, metric)) return [];
    const { count, sum, min, max } = expected;
    return [{ kind, deviceId, metric, expected: { count, sum, min, max }, seen: tally ?? null }];
  });
}

/**
 * Whether the observed tallies are the certain ones plus some of the packets of the groups. Returns how many samples
 * of each group that takes (where only bounds were compared: as many of the earlier groups as possible).
 */
function explain(
  certain: readonly ExpectedTally[],
  groups: readonly (readonly Packet[])[],
  observed: readonly Tally[],
): readonly number[] | undefined {
  const packets = groups.flat();
  if (packets.length <= MAX_COMBINED) return explainExactly(certain, groups, observed);
  if (!observed.every((tally, i) => isWithin(certain[i] ?? EMPTY_TALLY, columnOf(packets, i), tally))) {
    return undefined;
  }
  const excesses = observed.map(({ count }, i) => count - (certain[i]?.count ?? 0));
  let [rest = 0] = excesses;
  if (excesses.some((excess) => excess !== rest)) return undefined;
  return groups.map((group) => {
    const taken = Math.min(rest, samplesIn(group));
    rest -= taken;
    return taken;
  });
}

function explainExactly(
  certain: readonly ExpectedTally[],
  groups: readonly (readonly Packet[])[],
  observed: readonly Tally[],
): readonly number[] | undefined {
  const choices = groups.flatMap((group, index) => group.map((packet) => ({ packet, index })));
  const search = (
    at: number,
    tallies: readonly ExpectedTally[],
    taken: readonly number[],
  ): readonly number[] | undefined => {
    const choice = choices[at];
    if (choice === undefined) {
      const explained = tallies.every((tally, i) => equals(tally, observed[i] ?? EMPTY_TALLY));
      return explained ? taken : undefined;
    }
    const { packet, index } = choice;
    const added = packet.reduce<readonly ExpectedTally[]>(
      (sums, sample) => sums.map((sum, i) => withValue(sum, sample[i] ?? 0)),
      tallies,
    );
    // With it first: a message that is both unknown and repeated is then explained as unknown.
    const counts = taken.map((count, i) => (i === index ? count + packet.length : count));
    return search(at + 1, added, counts) ?? search(at + 1, tallies, taken);
  };
  return search(
    0,
    certain,
    groups.map(() => 0),
  );
}

function columnOf(packets: readonly Packet[], metric: number): readonly number[] {
  return packets.flatMap((packet) => packet.map((sample) => sample[metric] ?? 0));
}

function samplesIn(packets: readonly Packet[]): number {
  return packets.reduce((sum, { length }) => sum + length, 0);
}
