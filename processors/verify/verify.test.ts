import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Aggregate } from '../../metric-store/aggregate.ts';
import type { MetricStore, WindowAggregate } from '../../metric-store/metric-store.ts';
import { FOLD_CONFIG } from '../fold.fixture.ts';
import { identityOf } from '../fold-oracle.fixture.ts';
import {
  BEGINNING,
  LOG_RETENTION_MS,
  RESOLUTIONS,
  RecordedRun,
  rowsOf,
  sendEverything,
  TOPICS,
} from '../recorded-run.fixture.ts';
import { type VerifyOptions, verify } from './verify.ts';
import type { VerifyResult } from './verify-result.ts';

/** The windows of a range that begins and ends in the middle of the coarsest ones. */
const FROM = BEGINNING + 27_000;
const TO = BEGINNING + 93_000;

function verifyRun(run: RecordedRun, options: Partial<VerifyOptions> = {}): Promise<VerifyResult> {
  return verify({
    log: run.log,
    store: run.store,
    topics: TOPICS,
    fold: run.fold,
    resolutions: RESOLUTIONS,
    retentionMs: { telemetry: LOG_RETENTION_MS, quarantine: LOG_RETENTION_MS },
    foldedPosition: (partition) => run.foldedPosition(partition),
    from: FROM,
    to: TO,
    maxDifferences: 20,
    clock: () => run.now,
    signal: new AbortController().signal,
    ...options,
  });
}

/** A run with everything in it, folded, of which every window of the range is complete. */
async function foldedRun(
  fold = FOLD_CONFIG,
  ...atEnd: readonly ((close: () => Promise<void>) => void)[]
): Promise<RecordedRun> {
  const run = await RecordedRun.open(fold, ...atEnd);
  await sendEverything(run, 120_000);
  await run.tick(60_000);
  await run.foldAll();
  return run;
}

function isInRange({ windowStart }: WindowAggregate): boolean {
  return windowStart >= FROM && windowStart < TO;
}

/** How many panes each window has. */
function countPanes(rows: Iterable<WindowAggregate>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(windowNameOf(row), (counts.get(windowNameOf(row)) ?? 0) + 1);
  return counts;
}

function windowNameOf(row: WindowAggregate): string {
  return identityOf({ ...row, pane: 0 });
}

async function aRowOf(
  store: MetricStore,
  isWanted: (row: WindowAggregate) => boolean,
): Promise<WindowAggregate> {
  const row = [...(await rowsOf(store)).values()].find((each) => isInRange(each) && isWanted(each));
  if (row === undefined) throw new Error('there is no such row');
  return row;
}

describe('an honest run', () => {
  test('with late data, arrays, repetitions and quarantined messages is equal in every window size', async () => {
    const result = await verifyRun(await foldedRun());
    expect(result.differences.listed).toEqual([]);
    expect(result).toMatchObject({ outcome: 'equal', missingInput: [], withoutCheckpoint: [] });
    const { accepted, aggregated, duplicates, quarantined } = result.messages;
    expect(accepted).toBe(aggregated + duplicates + quarantined);
    for (const count of [aggregated, duplicates, quarantined]) expect(count).toBeGreaterThan(10);
    for (const { compared, open } of result.windows) {
      expect(compared).toBeGreaterThan(10);
      expect(open).toBe(0);
    }
  });

  test('whose late panes were closed early by the budget is equal', async () => {
    const run = await foldedRun({ ...FOLD_CONFIG, maxOpenAggregates: 9 });
    const forced = [...(await rowsOf(run.store)).values()].filter(({ pane }) => pane > 100);
    expect(forced.length).toBeGreaterThan(0);
    expect((await verifyRun(run)).differences.listed).toEqual([]);
  });

  test('whose budget refused messages is equal without them', async () => {
    const run = await foldedRun({ ...FOLD_CONFIG, maxDevices: 1 });
    const result = await verifyRun(run);
    expect(result.differences.listed).toEqual([]);
    expect(result.messages.quarantined).toBeGreaterThan(result.messages.aggregated);
  });

  test('that goes on meanwhile is compared up to where it was folded at first', async () => {
    const run = await foldedRun({ ...FOLD_CONFIG, maxAgeMs: 200_000 });
    const positions = [await run.foldedPosition(0), await run.foldedPosition(1)];
    const before = (await rowsOf(run.store)).size;
    for (const metric of ['temperature', 'unheard-of'])
      await run.send('counting-a', { ageMs: run.now - FROM - 5_000, metrics: { [metric]: 1 } });
    await run.tick(60_000);
    await run.foldAll();
    expect((await rowsOf(run.store)).size).toBeGreaterThan(before);
    const foldedPosition = async (partition: number) => positions[partition];
    const result = await verifyRun(run, { foldedPosition });
    expect(result.differences.listed).toEqual([]);
    for (const { open } of result.windows) expect(open).toBe(0);
    expect((await verifyRun(run)).differences.listed).toEqual([]);
  });
});

describe('a row', () => {
  let run: RecordedRun;
  const ends: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    run = await foldedRun(FOLD_CONFIG, (close) => ends.push(close));
  });

  afterAll(async () => {
    for (const end of ends) await end();
  });

  /** The store with one row put in or replaced. */
  async function storeWith(row: WindowAggregate): Promise<MetricStore> {
    const rows = await rowsOf(run.store);
    return run.copyOf(rows.set(identityOf(row), row).values());
  }

  test.each<[string, (aggregate: Aggregate) => Partial<Aggregate>]>([
    ['sum', ({ sum }) => ({ sum: sum + 1e-6 })],
    ['m2', ({ m2 }) => ({ m2: m2 * 1.000001 })],
    ['min', ({ min }) => ({ min: min - 1 })],
    ['max', ({ max }) => ({ max: max + 1 })],
    ['first', ({ first }) => ({ first: first + 1 })],
    ['firstAt', ({ firstAt }) => ({ firstAt: firstAt + 1 })],
    ['last', ({ last }) => ({ last: last + 1 })],
    ['lastAt', ({ lastAt }) => ({ lastAt: lastAt - 1 })],
    [
      'raw value',
      ({ distribution }) =>
        distribution.kind === 'raw'
          ? { distribution: { kind: 'raw', values: distribution.values.map((value) => value + 1e-9) } }
          : {},
    ],
  ])('whose %s was altered by hand is found, by device, metric and window', async (field, alter) => {
    const row = await aRowOf(
      run.store,
      ({ metric, aggregate }) => metric === 'temperature' && aggregate.count > 2,
    );
    const store = await storeWith({ ...row, aggregate: { ...row.aggregate, ...alter(row.aggregate) } });
    const { outcome, differences } = await verifyRun(run, { store });
    expect(outcome).toBe('different');
    expect(differences.total).toBe(1);
    const { deviceId, metric, resolutionMs, windowStart } = row;
    expect(differences.listed[0]).toMatchObject({
      kind: 'differing row',
      ...{ deviceId, metric, resolutionMs, windowStart },
      fields: expect.arrayContaining([expect.objectContaining({ field: expect.stringContaining(field) })]),
    });
  });

  test.each(RESOLUTIONS)('of $resolutionMs ms that was deleted is found', async ({ resolutionMs }) => {
    const rows = await rowsOf(run.store);
    const panes = countPanes(rows.values());
    const row = await aRowOf(
      run.store,
      (each) => each.resolutionMs === resolutionMs && panes.get(windowNameOf(each)) === 1,
    );
    rows.delete(identityOf(row));
    const { outcome, differences } = await verifyRun(run, { store: await run.copyOf(rows.values()) });
    expect(outcome).toBe('different');
    const { deviceId, metric, windowStart, aggregate } = row;
    expect(differences).toMatchObject({
      total: 1,
      listed: [{ kind: 'missing row', deviceId, metric, windowStart, expected: { count: aggregate.count } }],
    });
  });

  test('of one late pane that was deleted is found as a differing count', async () => {
    const rows = await rowsOf(run.store);
    const panes = countPanes(rows.values());
    const late = await aRowOf(run.store, (row) => row.pane > 0 && (panes.get(windowNameOf(row)) ?? 0) > 1);
    rows.delete(identityOf(late));
    const { differences } = await verifyRun(run, { store: await run.copyOf(rows.values()) });
    expect(differences.listed[0]).toMatchObject({
      kind: 'differing row',
      fields: expect.arrayContaining([expect.objectContaining({ field: 'count' })]),
    });
  });

  test.each([
    ['window', { windowStart: FROM, metric: 'level2' }],
    ['device', { deviceId: 'nobody' }],
    ['pane', { pane: 7 }],
  ])('of a %s that the log does not have is found', async (_, change) => {
    const row = await aRowOf(run.store, ({ resolutionMs, pane }) => resolutionMs === 1_000 && pane === 0);
    const { outcome, differences } = await verifyRun(run, { store: await storeWith({ ...row, ...change }) });
    expect(outcome).toBe('different');
    expect(differences.total).toBe(1);
    expect(differences.listed[0]?.kind).toBe('pane' in change ? 'differing row' : 'extra row');
  });
});

describe('input', () => {
  test('that was removed from the log is reported with its offsets, and the range cannot be verified', async () => {
    const run = await foldedRun();
    const [partition] = await run.log.offsets(TOPICS.telemetry, FROM + 1_000);
    const offset = partition?.atLogTime ?? 0n;
    await run.removeBatchAt(0, offset);
    const result = await verifyRun(run);
    expect(result.outcome).toBe('unverifiable');
    expect(result.missingInput).toMatchObject([
      { topic: TOPICS.telemetry, partition: 0, kind: 'gap', from: offset },
    ]);
  });

  test('that retention has deleted is reported, and the range cannot be verified', async () => {
    const run = await foldedRun();
    await run.expire(FROM);
    const result = await verifyRun(run);
    expect(result.outcome).toBe('unverifiable');
    expect(result.missingInput).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ topic: TOPICS.telemetry, partition: 0, kind: 'expired' }),
      ]),
    );
  });

  test('that had to be quarantined and is not in the quarantine topic is reported', async () => {
    const run = await RecordedRun.open();
    run.now = FROM;
    await run.send('d1', [
      { ageMs: 0, metrics: { t: 1 } },
      { ageMs: FOLD_CONFIG.maxAgeMs + 1, metrics: { t: 2 } },
    ]);
    await run.tick(100_000);
    const result = await verifyRun(run);
    expect(result.withoutCheckpoint).toHaveLength(2);
    expect(result.differences.listed).toEqual([
      {
        kind: 'not quarantined',
        deviceId: 'd1',
        partition: expect.any(Number),
        offset: 0n,
        index: 1,
        reason: 'it is too old',
      },
      expect.objectContaining({ kind: 'missing row', expected: { count: 1, sum: 1 } }),
    ]);
  });

  test('beyond the bound on memory is refused', async () => {
    await expect(verifyRun(await foldedRun(), { maxKept: 500 })).rejects.toMatchObject({
      code: 'PROCESSOR_RANGE_TOO_LARGE',
    });
  });
});

describe('a window', () => {
  test('is open until its last pane has closed, and compared from then on', async () => {
    const run = await RecordedRun.open();
    run.now = BEGINNING + 40_500;
    await run.send('d1', { ageMs: 0, metrics: { t: 1 } });
    await run.tick(5_000);
    await run.foldAll();
    const counts = async () =>
      (await verifyRun(run)).windows.map(({ compared, open }) => ({ compared, open }));
    expect(await counts()).toEqual(
      [
        { compared: 1, open: 0 },
        { compared: 1, open: 0 },
        { compared: 0, open: 1 },
      ].slice(0, 3),
    );
    await run.send('d1', { ageMs: 5_000, metrics: { t: 2 } });
    await run.foldAll();
    expect((await counts())[0]).toEqual({ compared: 0, open: 1 });
    await run.tick(60_000);
    await run.foldAll();
    expect(await counts()).toEqual(Array.from({ length: 3 }, () => ({ compared: 1, open: 0 })));
  });

  test('that the store no longer keeps is not compared', async () => {
    const run = await foldedRun();
    const resolutions = RESOLUTIONS.map((resolution) => ({ ...resolution, retentionMs: 1_000 }));
    const { windows, outcome } = await verifyRun(run, { resolutions });
    expect(outcome).toBe('equal');
    for (const { compared, expired } of windows) expect([compared, expired > 10]).toEqual([0, true]);
  });

  test('of which nothing is complete leaves nothing to verify', async () => {
    const run = await RecordedRun.open();
    run.now = FROM;
    await run.send('d1', { ageMs: 0, metrics: { t: 1 } });
    await run.foldAll();
    expect(await verifyRun(run)).toMatchObject({ outcome: 'unverifiable', differences: { total: 0 } });
  });
});
