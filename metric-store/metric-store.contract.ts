import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DAY_MS, inOrder, readAll, rowOf, select, T0 } from './contract-rows.fixture.ts';
import { NO_DISTRIBUTION } from './distribution.ts';
import { MetricStoreClosedError, MetricStoreUnavailableError, RowsRefusedError } from './errors.ts';
import type { MetricStore, WindowAggregate } from './metric-store.ts';
import type { Resolution } from './resolutions.ts';
import { aggregateOf, arbitraryRows } from './rows.fixture.ts';

/** What the suite needs to know of an adapter. */
export interface MetricStoreUnderTest {
  /** Opens the store on the same rows each time. */
  open(resolutions: readonly Resolution[]): Promise<MetricStore>;
  /** Takes the backend away and brings it back, or why that cannot be tried. */
  readonly outage: { stop(): Promise<void>; start(): Promise<void> } | { readonly skip: string };
  /** Lets the backend take requests and answer none, or why that cannot be tried. */
  readonly silence: { begin(): void; end(): void } | { readonly skip: string };
  dispose(): Promise<void>;
}

const RESOLUTIONS: readonly Resolution[] = [
  { resolutionMs: 10_000 },
  { resolutionMs: 60_000, retentionMs: 7 * DAY_MS },
  { resolutionMs: 3_600_000 },
];

/** The promises of PORT 2, tried on one adapter. */
export function describeMetricStore(name: string, create: () => Promise<MetricStoreUnderTest>): void {
  describe(name, () => {
    let adapter: MetricStoreUnderTest;
    let store: MetricStore;

    beforeAll(async () => {
      adapter = await create();
      store = await adapter.open(RESOLUTIONS);
    });

    afterAll(async () => {
      await store?.close();
      await adapter?.dispose();
    });

    test('a store without rows has no series and answers', async () => {
      await store.ping();
      expect(await store.series()).toEqual([]);
      expect(await readAll(store, select('nothing'))).toEqual([]);
      await store.write([]);
    });

    test('every field of any row comes back bit for bit', async () => {
      let run = 0;
      const property = fc.asyncProperty(arbitraryRows('m', 10_000, T0), async (generated) => {
        const metric = `round-trip-${run++}`;
        const rows = generated.map((row) => ({ ...row, metric }));
        await store.write(rows);
        expect(await readAll(store, select(metric))).toEqual(inOrder(rows));
      });
      await fc.assert(property, { numRuns: 25 });
    });

    test('negative zero, huge counts and far times come back bit for bit', async () => {
      const zeroes = { ...aggregateOf([0]), min: -0, max: -0, first: -0, last: -0, sum: -0, m2: 0 };
      const rows: WindowAggregate[] = [
        rowOf({
          metric: 'edges',
          aggregate: { ...zeroes, distribution: { kind: 'raw', values: [-0] } },
        }),
        rowOf({
          metric: 'edges',
          windowStart: 9_000_000_000_000,
          pane: 9_999_999,
          aggregate: {
            ...aggregateOf([1e300, -1e300, 5e-324]),
            count: Number.MAX_SAFE_INTEGER,
            firstAt: -Number.MAX_SAFE_INTEGER,
            lastAt: Number.MAX_SAFE_INTEGER,
            distribution: NO_DISTRIBUTION,
          },
        }),
        rowOf({ metric: 'edges', windowStart: 0, aggregate: aggregateOf([-1.5, 2, 1e-300]) }),
      ];
      await store.write(rows);
      const selection = { ...select('edges'), from: 0, to: Number.MAX_SAFE_INTEGER };
      expect(await readAll(store, selection)).toEqual(inOrder(rows));
    });

    test('a distribution with buckets all over the range comes back', async () => {
      const values = Array.from({ length: 3_000 }, (_, i) => (i % 2 === 0 ? 1 : -1) * 1.013 ** (i - 1_000));
      const rows = [rowOf({ metric: 'wide', aggregate: aggregateOf(values) })];
      await store.write(rows);
      expect(await readAll(store, select('wide'))).toEqual(rows);
    });

    test('writing the same rows again changes nothing', async () => {
      const rows = [
        rowOf({ metric: 'again' }),
        rowOf({ metric: 'again', pane: 3 }),
        rowOf({ metric: 'again', deviceId: 'd2' }),
      ];
      for (let i = 0; i < 3; i++) await store.write(rows);
      expect(await readAll(store, select('again'))).toEqual(inOrder(rows));
    });

    test('a row of the same identity replaces the whole row', async () => {
      await store.write([rowOf({ metric: 'replaced', aggregate: aggregateOf([1, 2, 3, 4]) })]);
      const row = rowOf({ metric: 'replaced', aggregate: aggregateOf([5]) });
      await store.write([row, rowOf({ metric: 'replaced', pane: 1 })]);
      expect(await readAll(store, select('replaced'))).toEqual([row, rowOf({ metric: 'replaced', pane: 1 })]);
    });

    test('panes of a window and resolutions of a time are kept apart', async () => {
      const rows = [0, 1, 2, 7, 9_999_999].map((pane) => rowOf({ metric: 'apart', pane }));
      const minute = rowOf({ metric: 'apart', resolutionMs: 60_000, aggregate: aggregateOf([1, 2]) });
      await store.write([...rows, minute]);
      expect(await readAll(store, select('apart'))).toEqual(rows);
      expect(await readAll(store, { ...select('apart'), resolutionMs: 60_000 })).toEqual([minute]);
    });

    test('a selection takes windows that start at or after "from" and before "to"', async () => {
      const rows = [-10_000, 0, 10_000, 20_000].map((after) =>
        rowOf({ metric: 'bounds', windowStart: T0 + after, pane: 9_999_999 }),
      );
      await store.write(rows);
      const starts = async (from: number, to: number) =>
        (await readAll(store, { ...select('bounds'), from, to })).map((row) => row.windowStart - T0);
      expect(await starts(T0, T0 + 20_000)).toEqual([0, 10_000]);
      expect(await starts(T0 - 9_999, T0 + 20_001)).toEqual([0, 10_000, 20_000]);
      expect(await starts(T0 + 1, T0 + 10_000)).toEqual([]);
      expect(await starts(T0, T0)).toEqual([]);
      expect(await starts(T0 + 10_000, T0)).toEqual([]);
      expect(await starts(0, Number.MAX_SAFE_INTEGER)).toEqual([-10_000, 0, 10_000, 20_000]);
      expect(await starts(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)).toHaveLength(4);
    });

    test('a selection takes the metric and the devices it names', async () => {
      const devices = Array.from({ length: 300 }, (_, i) => `device-${i}`);
      const rows = devices.map((deviceId) => rowOf({ metric: 'chosen', deviceId }));
      await store.write([...rows, rowOf({ metric: 'other', deviceId: 'device-1' })]);
      expect(await readAll(store, select('chosen'))).toEqual(inOrder(rows));
      const some = devices.slice(20, 280);
      const selected = await readAll(store, {
        ...select('chosen'),
        devices: [...some, 'unknown', 'device-20'],
      });
      expect(selected).toEqual(inOrder(rows.slice(20, 280)));
      expect(await readAll(store, { ...select('chosen'), devices: [] })).toEqual([]);
    });

    test('distributions come back only when they are asked for', async () => {
      const row = rowOf({ metric: 'bare', aggregate: aggregateOf([3, 1, 2]) });
      await store.write([row]);
      const [bare] = await readAll(store, { ...select('bare'), distributions: false });
      expect(bare).toEqual({ ...row, aggregate: { ...row.aggregate, distribution: NO_DISTRIBUTION } });
      expect(bare?.aggregate.distribution).toBe(NO_DISTRIBUTION);
    });

    test('ids with every character of the device contract, and stranger ones, are kept apart', async () => {
      const ids = [
        'a.b:c_d-e/f',
        "o'hare",
        'say "hi"',
        'a b',
        'a,b',
        'a=b',
        'a\u00e4\u{1f321}',
        '%_*',
        '$metric',
        "x') OR 1=1 --",
        '/.*/',
        'time',
        '_names',
        ' ',
        ',',
        '=',
      ];
      for (const metric of ids) {
        const rows = ids.map((deviceId) => rowOf({ metric, deviceId }));
        await store.write(rows);
        expect(await readAll(store, select(metric))).toEqual(inOrder(rows));
        for (const deviceId of ids) {
          const found = await readAll(store, { ...select(metric), devices: [deviceId] });
          expect(found).toEqual([rowOf({ metric, deviceId })]);
        }
      }
      const series = await store.series();
      for (const metric of ids) {
        for (const deviceId of ids) expect(series).toContainEqual({ deviceId, metric });
      }
    });

    test('series are listed once each, by device, then metric', async () => {
      const before = (await store.series()).length;
      await store.write([
        rowOf({ metric: 'list-b', deviceId: 'list-2' }),
        rowOf({ metric: 'list-a', deviceId: 'list-2' }),
        rowOf({ metric: 'list-b', deviceId: 'list-1' }),
        rowOf({ metric: 'list-b', deviceId: 'list-1', resolutionMs: 60_000 }),
      ]);
      const series = await store.series();
      expect(series).toHaveLength(before + 3);
      expect(series.filter(({ deviceId }) => deviceId.startsWith('list-'))).toEqual([
        { deviceId: 'list-1', metric: 'list-b' },
        { deviceId: 'list-2', metric: 'list-a' },
        { deviceId: 'list-2', metric: 'list-b' },
      ]);
    });

    test('20,000 rows in one write come back in several chunks', async () => {
      const rows = Array.from({ length: 20_000 }, (_, i) =>
        rowOf({
          metric: 'many',
          deviceId: `d${i % 100}`,
          windowStart: T0 + Math.floor(i / 100) * 10_000,
          aggregate: aggregateOf([i, i / 7, -i]),
        }),
      );
      await store.write(rows);
      expect(await readAll(store, select('many'))).toEqual(inOrder(rows));
      let chunks = 0;
      for await (const chunk of store.read(select('many'))) {
        chunks++;
        expect(chunk.length).toBeGreaterThan(0);
      }
      expect(chunks).toBeGreaterThan(1);
    });

    test('concurrent writes and reads do not disturb each other', async () => {
      const batches = Array.from({ length: 20 }, (_, batch) =>
        Array.from({ length: 200 }, (_, i) => rowOf({ metric: 'crowd', deviceId: `d${batch}-${i}` })),
      );
      const reads = Array.from({ length: 5 }, () => readAll(store, select('crowd')));
      await Promise.all(batches.map((rows) => store.write(rows)));
      await Promise.all(reads);
      expect(await readAll(store, select('crowd'))).toEqual(inOrder(batches.flat()));
    });

    test('a read that is given up early frees what it held', async () => {
      for (let i = 0; i < 50; i++) {
        for await (const rows of store.read(select('many'))) {
          expect(rows.length).toBeGreaterThan(0);
          break;
        }
      }
    });

    test('rows that can never be stored are refused by index and all others are stored', async () => {
      const good = [1, 2, 3].map((n) => rowOf({ metric: 'some-refused', deviceId: `good-${n}` }));
      const [g1 = rowOf({}), g2 = rowOf({}), g3 = rowOf({})] = good;
      const metric = 'some-refused';
      const bad: WindowAggregate[] = [
        rowOf({ metric, resolutionMs: 5_000 }),
        rowOf({ metric, pane: 10_000_000 }),
        rowOf({ metric, pane: -1 }),
        rowOf({ metric, windowStart: T0 + 1 }),
        rowOf({ metric, windowStart: -10_000 }),
        rowOf({ metric, deviceId: 'a\nb' }),
        rowOf({ metric, deviceId: 'a\\' }),
        rowOf({ metric, deviceId: '\ud800' }),
        rowOf({ metric, deviceId: '' }),
        rowOf({ metric: '' }),
        rowOf({ metric: '#x' }),
        rowOf({ metric: '_name' }),
        rowOf({ metric, aggregate: { ...aggregateOf([1]), sum: Number.NaN } }),
        rowOf({ metric, aggregate: { ...aggregateOf([1]), m2: Number.POSITIVE_INFINITY } }),
        rowOf({ metric, aggregate: { ...aggregateOf([1]), count: 2.5 } }),
        rowOf({ metric, aggregate: { ...aggregateOf([1, 2]), count: 3 } }),
        rowOf({ metric, resolutionMs: 60_000, windowStart: T0 - 30 * DAY_MS }),
      ];
      const error = await store.write([g1, ...bad, g2, g3]).catch((reason: unknown) => reason);
      if (!(error instanceof RowsRefusedError)) throw error;
      expect(error.refused.map(({ index }) => index)).toEqual(bad.map((_, i) => i + 1));
      expect(error.retryable).toBe(false);
      expect(await readAll(store, select('some-refused'))).toEqual(good);
    });

    test('reading windows of a size that is not kept is refused', async () => {
      await expect(readAll(store, { ...select('many'), resolutionMs: 7_000 })).rejects.toMatchObject({
        code: 'METRIC_STORE_SCHEMA',
      });
    });

    test('rows and series survive closing and opening again', async () => {
      const row = rowOf({ metric: 'survivor', aggregate: aggregateOf([1, 2, 3]) });
      await store.write([row]);
      const series = await store.series();
      await store.close();
      store = await adapter.open(RESOLUTIONS);
      expect(await readAll(store, select('survivor'))).toEqual([row]);
      expect(await store.series()).toEqual(series);
      await store.write([row]);
      expect(await readAll(store, select('survivor'))).toEqual([row]);
    });

    test('a closed store refuses every call, after finishing the running ones', async () => {
      const closing = await adapter.open(RESOLUTIONS).catch(() => undefined);
      const subject = closing ?? store;
      const row = rowOf({ metric: 'last-words' });
      const written = subject.write([row]);
      await subject.close();
      await written;
      await subject.close();
      for (const call of [
        () => subject.write([row]),
        () => readAll(subject, select('many')),
        () => subject.series(),
        () => subject.ping(),
      ]) {
        await expect(call()).rejects.toBeInstanceOf(MetricStoreClosedError);
      }
      if (closing === undefined) store = await adapter.open(RESOLUTIONS);
      expect(await readAll(store, select('last-words'))).toEqual([row]);
    });

    test('a write whose signal has aborted is not begun', async () => {
      const reason = new Error('not wanted');
      await expect(store.write([rowOf({ metric: 'unwanted' })], AbortSignal.abort(reason))).rejects.toBe(
        reason,
      );
      expect(await readAll(store, select('unwanted'))).toEqual([]);
    });

    test('a write that gets no answer is abandoned when its signal aborts', async (context) => {
      const { silence } = adapter;
      if ('skip' in silence) return context.skip(silence.skip);
      const row = rowOf({ metric: 'abandoned' });
      const reason = new Error('given up');
      const abort = new AbortController();
      const rows = Array.from({ length: 60_000 }, (_, i) =>
        rowOf({ metric: 'abandoned', deviceId: `d${i}` }),
      );
      silence.begin();
      try {
        const begun = performance.now();
        const writes = [store.write([row], abort.signal), store.write(rows, abort.signal)];
        setTimeout(() => abort.abort(reason), 100);
        for (const write of writes) await expect(write).rejects.toBe(reason);
        // Far from any deadline of a request.
        expect(performance.now() - begun).toBeLessThan(5_000);
      } finally {
        silence.end();
      }
      await store.write([row]);
      expect(await readAll(store, select('abandoned'))).toContainEqual(row);
    });

    test('an unavailable backend is a retryable error and the store recovers by itself', async (context) => {
      const { outage } = adapter;
      if ('skip' in outage) return context.skip(outage.skip);
      const row = rowOf({ metric: 'outage' });
      await outage.stop();
      try {
        for (const call of [
          () => store.write([row]),
          () => readAll(store, select('many')),
          () => store.series(),
          () => store.ping(),
        ]) {
          await expect(call()).rejects.toBeInstanceOf(MetricStoreUnavailableError);
        }
      } finally {
        await outage.start();
      }
      await expect.poll(() => store.ping().then(() => 'up'), { timeout: 30_000 }).toBe('up');
      await store.write([row]);
      expect(await readAll(store, select('outage'))).toEqual([row]);
    });
  });
}
