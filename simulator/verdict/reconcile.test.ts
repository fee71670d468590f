import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFleetWorkload } from '../fleet-workload.ts';
import { Ledger } from '../ledger/ledger.ts';
import { Expectations } from './expectation.ts';
import { type Finding, reconcile } from './reconcile.ts';
import { type Tally, TallyBuilder } from './tally.ts';

const START = 1_795_000_000_000;
const workload = createFleetWorkload({
  profile: 'machine',
  devices: 1,
  rate: 10,
  durationMs: 60_000,
  seed: 11,
  runId: 'r',
});
const content = workload.startingAt(START);
const metrics = workload.metricsOf(0);

/** What a store holds that counted these messages of device 0, each as often as it is listed. */
function stored(sequences: readonly number[]): Map<string, Tally> {
  const builders = metrics.map(() => new TallyBuilder());
  for (const sequence of sequences) {
    for (const sample of content.samples(0, sequence)) {
      for (const [i, value] of sample.entries()) builders[i]?.add(value);
    }
  }
  const tallies = new Map<string, Tally>();
  for (const [i, metric] of metrics.entries()) {
    const tally = builders[i]?.build();
    if (tally !== undefined && tally.count > 0) tallies.set(metric, tally);
  }
  return tallies;
}

/** A run of `sent` messages of which those listed stay unacknowledged, or were in flight when a connection broke. */
function ledgerOf(
  sent: number,
  { unknown = [], repeated = [] }: { unknown?: readonly number[]; repeated?: readonly number[] } = {},
): Ledger {
  const ledger = new Ledger(1);
  for (let sequence = 0; sequence < sent; sequence++) {
    ledger.send(0);
    if (!unknown.includes(sequence) && !repeated.includes(sequence)) ledger.acknowledge(0, sequence);
  }
  if (repeated.length > 0) ledger.interrupt(0);
  for (const sequence of repeated) if (!unknown.includes(sequence)) ledger.acknowledge(0, sequence);
  return ledger;
}

async function compare(ledger: Ledger, seen: ReadonlyMap<string, Tally>): Promise<Finding> {
  return reconcile((await Expectations.compute(workload, content, ledger)).of(0), seen);
}

const range = (end: number) => Array.from({ length: end }, (_, i) => i);
const clean = { missing: 0, countedTwice: 0, differences: [] };

describe('a ledger', () => {
  it('counts each message once, however often it is sent or acknowledged', () => {
    const ledger = ledgerOf(5, { repeated: [1, 2] });
    expect(ledger.acknowledge(0, 1)).toBe(false);
    expect([ledger.totalSent, ledger.totalAcknowledged, ledger.totalRepeated]).toEqual([5, 5, 2]);
  });

  it('has every sent message either acknowledged or unknown', () => {
    fc.assert(
      fc.property(fc.nat({ max: 30 }), fc.array(fc.nat({ max: 29 })), (sent, unknown) => {
        const ledger = ledgerOf(sent, { unknown });
        const both = [...ledger.acknowledged(0), ...ledger.unknown(0)];
        expect(both.sort((a, b) => a - b)).toEqual(range(sent));
        expect(ledger.totalAcknowledged).toBe([...ledger.acknowledged(0)].length);
      }),
    );
  });
});

describe('reconciling a device whose messages were all acknowledged once', () => {
  it('finds nothing when the store has each of them once, in any order', async () => {
    const seen = stored(range(300).reverse());
    expect(await compare(ledgerOf(300), seen)).toEqual({ ...clean, unknownCounted: 0 });
  });

  it('finds a message that is missing, in every metric', async () => {
    const finding = await compare(ledgerOf(300), stored(range(299)));
    expect(finding).toMatchObject({ missing: 1, countedTwice: 0 });
    expect(finding.differences.map(({ kind, metric }) => [kind, metric])).toEqual(
      metrics.map((metric) => ['missing', metric]),
    );
  });

  it('finds a metric that is missing though the others are complete', async () => {
    const seen = stored(range(10));
    seen.delete('rpm');
    expect(await compare(ledgerOf(10), seen)).toMatchObject({
      missing: 10,
      differences: [{ kind: 'missing', metric: 'rpm', seen: null }],
    });
  });

  it('finds a message counted twice, apart from what is missing', async () => {
    const finding = await compare(ledgerOf(300), stored([...range(300), 17]));
    expect(finding).toMatchObject({ missing: 0, countedTwice: 1 });
    expect(finding.differences.every(({ kind }) => kind === 'counted-twice')).toBe(true);
  });

  it('finds one missing and another twice, though the count is right', async () => {
    const finding = await compare(ledgerOf(300), stored([...range(299), 17]));
    expect(finding).toMatchObject({ missing: 0, countedTwice: 0 });
    expect(finding.differences.map(({ kind }) => kind)).toContain('differs');
  });

  it.each(['sum', 'min', 'max'] as const)('finds a wrong %s', async (field) => {
    const seen = stored(range(300));
    const power = seen.get('power');
    if (power === undefined) throw new Error('the profile has no power');
    seen.set('power', { ...power, [field]: power[field] + power.sum * 1e-7 });
    expect(await compare(ledgerOf(300), seen)).toMatchObject({
      missing: 0,
      countedTwice: 0,
      differences: [{ kind: 'differs', metric: 'power' }],
    });
  });

  it('takes a sum that was added up in another order', async () => {
    const seen = stored(range(300));
    const power = seen.get('power');
    if (power === undefined) throw new Error('the profile has no power');
    seen.set('power', { ...power, sum: power.sum * (1 + 1e-12) });
    expect(await compare(ledgerOf(300), seen)).toMatchObject(clean);
  });
});

describe('reconciling a device with unknown messages', () => {
  it('permits each of them and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat({ max: 59 }), { maxLength: 8 }),
        fc.func(fc.boolean()),
        fc.nat({ max: 59 }),
        async (unknown, arrives, lost) => {
          const ledger = ledgerOf(60, { unknown });
          const counted = range(60).filter((sequence) => !unknown.includes(sequence) || arrives(sequence));
          const extras = counted.length - (60 - unknown.length);
          expect(await compare(ledger, stored(counted))).toEqual({ ...clean, unknownCounted: extras });

          fc.pre(!unknown.includes(lost));
          const finding = await compare(ledger, stored(counted.filter((sequence) => sequence !== lost)));
          expect(finding.missing + finding.differences.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('compares bounds where there are many of them', async () => {
    const unknown = range(300).filter((sequence) => sequence % 3 === 0);
    const ledger = ledgerOf(300, { unknown });
    const counted = range(300).filter((sequence) => sequence % 3 !== 0 || sequence % 2 === 0);
    expect(await compare(ledger, stored(counted))).toEqual({ ...clean, unknownCounted: 50 });
    const seen = stored(counted);
    const power = seen.get('power');
    if (power === undefined) throw new Error('the profile has no power');
    seen.set('power', { ...power, sum: power.sum * 2 });
    expect((await compare(ledger, seen)).differences).toMatchObject([{ kind: 'differs', metric: 'power' }]);
  });

  it('takes none of them, all of them, and finds one more', async () => {
    const unknown = range(300);
    const ledger = ledgerOf(300, { unknown });
    expect(await compare(ledger, stored([]))).toEqual({ ...clean, unknownCounted: 0 });
    expect(await compare(ledger, stored(unknown))).toEqual({ ...clean, unknownCounted: 300 });
    expect(await compare(ledger, stored([...unknown, 4]))).toMatchObject({ missing: 0, countedTwice: 1 });
  });
});

describe('reconciling a device that lost its connection', () => {
  it('takes redelivered messages that are counted once', async () => {
    expect(await compare(ledgerOf(100, { repeated: [98, 99] }), stored(range(100)))).toMatchObject(clean);
  });

  it('reports redelivered messages that are counted twice as that, apart from the unknown ones', async () => {
    const ledger = ledgerOf(100, { repeated: [97, 98, 99], unknown: [50] });
    expect(await compare(ledger, stored([...range(100), 98, 99]))).toMatchObject({
      missing: 0,
      countedTwice: 2,
      unknownCounted: 1,
    });
  });

  it('reports any number of redelivered messages', async () => {
    const repeated = range(100).filter((sequence) => sequence >= 60);
    const ledger = ledgerOf(100, { repeated });
    expect(await compare(ledger, stored([...range(100), ...repeated]))).toMatchObject({
      missing: 0,
      countedTwice: 40,
    });
  });
});
