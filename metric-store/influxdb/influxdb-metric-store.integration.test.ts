import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { InfluxDB } from 'influx';
import { pino } from 'pino';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { MetricStoreSchemaError, MetricStoreUnavailableError, RowsRefusedError } from '../errors.ts';
import { describeMetricStore } from '../metric-store.contract.ts';
import type { MetricStore, Selection, WindowAggregate } from '../metric-store.ts';
import { aggregateOf, arbitraryAggregate } from '../rows.fixture.ts';
import { type InfluxMetricStoreOptions, openInfluxMetricStore } from './influxdb-metric-store.ts';
import { TcpProxy } from './tcp-proxy.fixture.ts';

const logger = pino({ level: 'silent' });
const influxdbUrl = inject('influxdbUrl');
const DAY_MS = 86_400_000;
const T0 = Math.floor((Date.now() - DAY_MS) / 3_600_000) * 3_600_000;

describe.skipIf(influxdbUrl === '')('InfluxDB', () => {
  describeMetricStore('influxdb metric store', async () => {
    const proxy = new TcpProxy(influxdbUrl);
    await proxy.start();
    const database = `contract "${randomUUID()}'`;
    return {
      open: (resolutions) => openInfluxMetricStore({ url: proxy.url, database, resolutions, logger }),
      outage: { stop: () => proxy.stop(), start: () => proxy.start() },
      silence: {
        begin: () => {
          proxy.alter = () => Buffer.alloc(0);
        },
        end: () => {
          proxy.alter = (answer) => answer;
        },
      },
      async dispose() {
        await proxy.stop();
        await admin().dropDatabase(database);
      },
    };
  });

  const databases: string[] = [];
  const closing: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    for (const database of databases.splice(0)) await admin().dropDatabase(database);
  });

  async function open(options: Partial<InfluxMetricStoreOptions> = {}): Promise<MetricStore> {
    const database = options.database ?? newDatabase();
    const resolutions = [{ resolutionMs: 10_000, retentionMs: 7 * DAY_MS }];
    const store = await openInfluxMetricStore({
      url: influxdbUrl,
      database,
      resolutions,
      logger,
      ...options,
    });
    closing.push(() => store.close());
    return store;
  }

  function newDatabase(): string {
    const database = `test_${randomUUID()}`;
    databases.push(database);
    return database;
  }

  async function openProxy(): Promise<TcpProxy> {
    const proxy = new TcpProxy(influxdbUrl);
    await proxy.start();
    closing.push(() => proxy.stop());
    return proxy;
  }

  describe('schema', () => {
    test('each resolution has a retention policy, which is altered when the configuration changes', async () => {
      const database = newDatabase();
      const policies = async () =>
        (await admin().showRetentionPolicies(database))
          .filter(({ name }) => name.startsWith('sluice_'))
          .map(({ name, duration, shardGroupDuration }) => [name, duration, shardGroupDuration]);
      const resolutions = [
        { resolutionMs: 10_000, retentionMs: DAY_MS },
        { resolutionMs: 60_000, retentionMs: 30 * DAY_MS },
        { resolutionMs: 3_600_000 },
      ];
      await open({ database, resolutions });
      expect(await policies()).toEqual([
        ['sluice_10s', '24h0m0s', '1h0m0s'],
        ['sluice_1m', '720h0m0s', '24h0m0s'],
        ['sluice_1h', '0s', '168h0m0s'],
      ]);
      await open({ database, resolutions: [{ resolutionMs: 10_000, retentionMs: 3 * DAY_MS }] });
      expect((await policies())[0]).toEqual(['sluice_10s', '72h0m0s', '24h0m0s']);
      await open({ database, resolutions: [{ resolutionMs: 10_000, retentionMs: 3_600_000 }] });
      expect((await policies())[0]).toEqual(['sluice_10s', '1h0m0s', '1h0m0s']);
    });

    test('people who query InfluxDB directly get right sums over panes', async () => {
      const database = newDatabase();
      const store = await open({ database });
      await store.write([
        rowOf({ aggregate: aggregateOf([1, 2]) }),
        rowOf({ pane: 4, aggregate: aggregateOf([10]) }),
        rowOf({ windowStart: T0 + 10_000, aggregate: aggregateOf([7]) }),
      ]);
      const found = await admin().query(
        `SELECT sum("count") AS n, sum("sum") AS s, max("max") AS m FROM "${database}"."sluice_10s"."m"
          WHERE time >= ${T0}ms AND time < ${T0 + 20_000}ms GROUP BY time(10s)`,
        { database },
      );
      expect([...found]).toMatchObject([
        { n: 3, s: 13, m: 10 },
        { n: 1, s: 7, m: 7 },
      ]);
    });

    test('a database that is dropped while the store is open is created again by the next write', async () => {
      const database = newDatabase();
      const store = await open({ database });
      await store.write([rowOf({})]);
      await admin().dropDatabase(database);
      await expect(readAll(store)).rejects.toThrow(/database not found/);
      await Promise.all([store.write([rowOf({})]), store.write([rowOf({ deviceId: 'd2' })])]);
      expect(await readAll(store)).toHaveLength(2);
      await admin().dropRetentionPolicy('sluice_10s', database);
      await store.write([rowOf({})]);
      expect(await readAll(store)).toEqual([rowOf({})]);
    });
  });

  describe('rows that InfluxDB refuses', () => {
    test('points beyond the retention policy are named by index', async () => {
      const store = await open({ now: () => T0 - 100 * DAY_MS });
      const rows = [
        rowOf({ deviceId: 'a', windowStart: T0 - 50 * DAY_MS }),
        rowOf({ deviceId: 'b' }),
        rowOf({ deviceId: 'c', windowStart: T0 - 60 * DAY_MS, pane: 3 }),
        rowOf({ deviceId: 'd' }),
      ];
      expect(await refusedIndexes(store.write(rows))).toEqual([0, 2]);
      expect(await readAll(store)).toHaveLength(2);
    });

    test('bad points among thousands are found, and every good one is stored', async () => {
      const database = newDatabase();
      const store = await open({ database });
      await admin().writePoints(
        [{ measurement: 'clash', tags: { device: 'x' }, fields: { sum: 'text' }, timestamp: `${T0}` }],
        { database, retentionPolicy: 'sluice_10s', precision: 'ms' },
      );
      const bad = [0, 17, 18, 4_999, 5_000, 7_777];
      const rows = Array.from({ length: 8_000 }, (_, i) =>
        rowOf({ deviceId: `d${i}`, metric: bad.includes(i) ? 'clash' : 'm' }),
      );
      expect(await refusedIndexes(store.write(rows))).toEqual(bad);
      expect(await readAll(store)).toHaveLength(rows.length - bad.length);
    });

    test('all rows bad for one reason are refused without taking them apart', async () => {
      const store = await open({ now: () => 0 });
      const rows = Array.from({ length: 5_000 }, (_, i) => rowOf({ deviceId: `d${i}`, windowStart: 10_000 }));
      expect(await refusedIndexes(store.write(rows))).toHaveLength(5_000);
    });
  });

  describe('what goes wrong on the way', () => {
    test('an answer that never comes ends at the deadline', async () => {
      const proxy = await openProxy();
      const store = await open({ url: proxy.url, requestTimeoutMs: 300 });
      await store.write([rowOf({})]);
      proxy.alter = () => Buffer.alloc(0);
      const calls = [
        () => store.write([rowOf({})]),
        () => readAll(store),
        () => store.series(),
        () => store.ping(),
      ];
      for (const call of calls) {
        const begun = performance.now();
        await expect(call()).rejects.toBeInstanceOf(MetricStoreUnavailableError);
        expect(performance.now() - begun).toBeLessThan(5_000);
      }
      proxy.alter = (answer) => answer;
      await store.write([rowOf({})]);
      expect(await readAll(store)).toEqual([rowOf({})]);
    });

    test('an answer that is cut short is a retryable error, not a short result', async () => {
      const proxy = await openProxy();
      const store = await open({ url: proxy.url, requestTimeoutMs: 500 });
      await store.write([rowOf({})]);
      proxy.alter = () => undefined;
      await expect(readAll(store)).rejects.toBeInstanceOf(MetricStoreUnavailableError);
      await expect(store.series()).rejects.toBeInstanceOf(MetricStoreUnavailableError);
      await expect(store.write([rowOf({})])).rejects.toBeInstanceOf(MetricStoreUnavailableError);
      proxy.alter = (answer) => answer;
      expect(await readAll(store)).toEqual([rowOf({})]);
    });

    test('kept connections that were closed meanwhile are not an error', async () => {
      const proxy = await openProxy();
      const store = await open({ url: proxy.url });
      for (let i = 0; i < 20; i++) {
        await store.write([rowOf({ deviceId: `d${i}` })]);
        proxy.cutConnections();
      }
      await store.ping();
    });

    test('opening waits for an InfluxDB that is not there yet', async () => {
      const proxy = await openProxy();
      await proxy.stop();
      const opening = open({ url: proxy.url });
      await proxy.start();
      await (await opening).ping();
    });

    test('opening gives up at its time limit, and at its signal', async () => {
      const proxy = await openProxy();
      await proxy.stop();
      await expect(open({ url: proxy.url, startTimeoutMs: 150 })).rejects.toBeInstanceOf(
        MetricStoreUnavailableError,
      );
      const abort = new AbortController();
      const opening = open({ url: proxy.url, signal: abort.signal });
      abort.abort(new Error('enough'));
      await expect(opening).rejects.toThrow();
    });

    test('a server that is no InfluxDB is a schema error', async () => {
      const proxy = await openProxy();
      proxy.alter = () => Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}');
      await expect(open({ url: proxy.url })).rejects.toBeInstanceOf(MetricStoreSchemaError);
    });
  });

  test('rows of an hour that was not written just before are sent twice, as InfluxDB may lose them once', async () => {
    const proxy = await openProxy();
    const store = await open({ url: proxy.url });
    const writesOf = async (rows: readonly WindowAggregate[]) => {
      const before = proxy.writes;
      await store.write(rows);
      return proxy.writes - before;
    };
    expect(await writesOf([rowOf({})])).toBe(2);
    expect(await writesOf([rowOf({ deviceId: 'd2' })])).toBe(1);
    expect(await writesOf([rowOf({}), rowOf({ windowStart: T0 + 3_600_000 })])).toBe(2);
    expect(await writesOf([rowOf({}), rowOf({ windowStart: T0 + 3_600_000 })])).toBe(1);
    await proxy.stop();
    await expect(store.write([rowOf({})])).rejects.toBeInstanceOf(MetricStoreUnavailableError);
    await proxy.start();
    expect(await writesOf([rowOf({})])).toBe(2);
  });

  test('a point that lacks fields is waited for, and named when they never come', async () => {
    const database = newDatabase();
    const store = await open({ database });
    const write = (fields: Record<string, number>) =>
      admin().writePoints([{ measurement: 'torn', tags: { device: 'd1' }, fields, timestamp: `${T0}` }], {
        database,
        retentionPolicy: 'sluice_10s',
        precision: 'ms',
      });
    await write({ sum: 1.5 });
    const torn = { ...EVERYTHING, metric: 'torn', to: T0 + 10_000, from: T0 };
    const reading = readAll(store, torn);
    const row = rowOf({ metric: 'torn' });
    await store.write([row]);
    expect(await reading).toEqual([row]);
    await write({ sum: 1.5 });
    await admin().writePoints(
      [{ measurement: 'torn', tags: { device: 'd2' }, fields: { sum: 1.5 }, timestamp: `${T0}` }],
      { database, retentionPolicy: 'sluice_10s', precision: 'ms' },
    );
    await expect(readAll(store, torn)).rejects.toThrow(/"torn" lack fields/);
  });

  test('any ids that are admitted come back from InfluxDB as they are', async () => {
    const store = await open();
    const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(id, id, arbitraryAggregate, async (deviceId, metric, aggregate) => {
        const row = rowOf({ deviceId, metric, windowStart: T0 + 10_000 * run++, aggregate });
        try {
          await store.write([row]);
        } catch (error) {
          if (!(error instanceof RowsRefusedError)) throw error;
          expect(error.message).toContain('cannot be stored');
          return;
        }
        const selection = { ...EVERYTHING, metric, devices: [deviceId], from: row.windowStart };
        const [found] = await readAll(store, { ...selection, to: row.windowStart + 1, distributions: false });
        expect(found).toMatchObject({ deviceId, metric, windowStart: row.windowStart });
        expect(found?.aggregate.m2).toBe(aggregate.m2);
        expect(found?.aggregate.lastAt).toBe(aggregate.lastAt);
      }),
      { numRuns: 150 },
    );
  });

  test('what was acknowledged survives the end of InfluxDB by SIGKILL', async () => {
    const folder = mkdtempSync(join(inject('servicesFolder'), 'metric-store-'));
    const services = (...args: string[]) =>
      execFileSync(process.execPath, [resolve('dist/infra/local/services.js'), ...args, '--folder', folder], {
        encoding: 'utf8',
      });
    const { influxdb } = JSON.parse(services('start', 'influxdb', '--json'));
    try {
      const store = await open({ url: influxdb.url, database: 'killed' });
      const rows = Array.from({ length: 2_000 }, (_, i) => rowOf({ deviceId: `d${i}` }));
      await store.write(rows);
      services('stop', 'influxdb', '--kill');
      await expect(store.write(rows)).rejects.toBeInstanceOf(MetricStoreUnavailableError);
      services('start', 'influxdb', '--json');
      expect(await readAll(store)).toHaveLength(2_000);
    } finally {
      services('stop', 'influxdb', '--kill');
    }
  });
});

const EVERYTHING: Selection = {
  metric: 'm',
  resolutionMs: 10_000,
  from: 0,
  to: Number.MAX_SAFE_INTEGER,
  distributions: true,
};

function admin(): InfluxDB {
  return new InfluxDB(influxdbUrl);
}

function rowOf(fields: Partial<WindowAggregate>): WindowAggregate {
  return {
    deviceId: 'd1',
    metric: 'm',
    resolutionMs: 10_000,
    windowStart: T0,
    pane: 0,
    aggregate: aggregateOf([1.5]),
    ...fields,
  };
}

async function refusedIndexes(write: Promise<void>): Promise<number[]> {
  const error = await write.catch((reason: unknown) => reason);
  if (!(error instanceof RowsRefusedError)) throw error;
  return error.refused.map(({ index }) => index);
}

async function readAll(store: MetricStore, selection = EVERYTHING): Promise<WindowAggregate[]> {
  const rows: WindowAggregate[] = [];
  for await (const chunk of store.read(selection)) rows.push(...chunk);
  return rows;
}
