import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MetricStoreSchemaError, MetricStoreUnavailableError } from '../errors.ts';
import { describeMetricStore } from '../metric-store.contract.ts';
import type { MetricStore, WindowAggregate } from '../metric-store.ts';
import { aggregateOf } from '../rows.fixture.ts';
import { type EmbeddedMetricStoreOptions, openEmbeddedMetricStore } from './embedded-metric-store.ts';

const logger = pino({ level: 'silent' });

function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'sluice-metric-store-'));
}

describeMetricStore('embedded metric store', async () => {
  const folder = await makeFolder();
  return {
    open: (resolutions) => openEmbeddedMetricStore({ folder, resolutions, logger }),
    outage: { skip: 'the store runs in this process' },
    silence: { skip: 'a transaction is not abandoned' },
    dispose: () => rm(folder, { recursive: true }),
  };
});

describe('embedded metric store', () => {
  const opened: MetricStore[] = [];
  let folder: string;

  beforeEach(async () => {
    folder = await makeFolder();
  });

  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    await rm(folder, { recursive: true });
  });

  async function open(options: Partial<EmbeddedMetricStoreOptions> = {}): Promise<MetricStore> {
    const resolutions = [{ resolutionMs: 1_000 }, { resolutionMs: 60_000 }];
    const store = await openEmbeddedMetricStore({ folder, resolutions, logger, ...options });
    opened.push(store);
    return store;
  }

  test('a second open in the same process names the file and the owner', async () => {
    await open();
    const error = await open().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MetricStoreSchemaError);
    expect(String(error)).toContain(join(folder, 'aggregates.duckdb'));
    expect(String(error)).toContain(`PID ${process.pid}`);
  });

  test('opening what another process has open names the file and the owner', async () => {
    await (await open()).close();
    const owner = spawn(process.execPath, ['--input-type=module', '-e', OPEN_AND_WAIT], {
      env: { ...process.env, FILE: join(folder, 'aggregates.duckdb') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(owner.stdout, 'data');
      const error = await open().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(MetricStoreSchemaError);
      expect(String(error)).toContain(join(folder, 'aggregates.duckdb'));
      expect(String(error)).toContain(`PID ${owner.pid}`);
    } finally {
      owner.kill('SIGKILL');
      await once(owner, 'exit');
    }
    await (await open()).ping();
  });

  test('closing lets go of the file although a read was left hanging', async () => {
    const store = await open();
    await store.write(rows(10_000));
    const read = store.read(EVERYTHING)[Symbol.asyncIterator]();
    expect((await read.next()).done).toBe(false);
    await store.close();
    await expect(read.next()).rejects.toMatchObject({ code: 'METRIC_STORE_CLOSED' });
    const other = spawn(process.execPath, ['--input-type=module', '-e', OPEN_AND_WAIT], {
      env: { ...process.env, FILE: join(folder, 'aggregates.duckdb') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    other.kill('SIGKILL');
    await once(other, 'exit');
  });

  test('a file that is no database is a schema error', async () => {
    await writeFile(join(folder, 'aggregates.duckdb'), 'x'.repeat(100_000));
    await expect(open()).rejects.toBeInstanceOf(MetricStoreSchemaError);
  });

  test('impossible resolutions are refused by name', async () => {
    await expect(open({ resolutions: [] })).rejects.toThrow('at least one resolution');
    await expect(open({ resolutions: [{ resolutionMs: 0 }] })).rejects.toThrow('0 ms');
    await expect(open({ resolutions: [{ resolutionMs: 10, retentionMs: 9 }] })).rejects.toThrow('9 ms');
    await expect(open({ resolutions: [{ resolutionMs: 10 }, { resolutionMs: 10 }] })).rejects.toThrow(
      'twice',
    );
  });

  test('rows beyond the retention are deleted, and series with their last row', async () => {
    let now = 1_000_000;
    const resolutions = [{ resolutionMs: 1_000, retentionMs: 100_000 }, { resolutionMs: 60_000 }];
    const store = await open({ resolutions, now: () => now, retentionIntervalMs: 20 });
    const row = { ...rows(1)[0], deviceId: 'd', metric: 'm', pane: 0, aggregate: aggregateOf([1]) };
    await store.write([
      { ...row, deviceId: 'old', resolutionMs: 1_000, windowStart: 900_000 },
      { ...row, deviceId: 'new', resolutionMs: 1_000, windowStart: 901_000 },
      { ...row, deviceId: 'coarse', resolutionMs: 60_000, windowStart: 900_000 },
    ]);
    expect(await store.series()).toHaveLength(3);
    now = 1_000_500;
    const devices = async () => (await store.series()).map(({ deviceId }) => deviceId);
    await expect.poll(devices, { timeout: 10_000 }).toEqual(['coarse', 'new']);
    await store.write([{ ...row, deviceId: 'old', resolutionMs: 1_000, windowStart: 950_000 }]);
    expect(await devices()).toEqual(['coarse', 'new', 'old']);
  });

  test('writes beyond the bound of the queue are rejected as unavailable, and none of the accepted is lost', async () => {
    const store = await open({ maxQueuedRows: 100 });
    const batches = Array.from({ length: 10 }, (_, i) => rows(40, i * 40));
    const outcomes = await Promise.allSettled(batches.map((batch) => store.write(batch)));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(MetricStoreUnavailableError);
    const stored = 40 * (outcomes.length - refused.length);
    await vi.waitFor(async () => expect(await store.series()).toHaveLength(stored));
  });

  test('of several rows of one identity in merged writes the last one is kept', async () => {
    const store = await open();
    const [row] = rows(1);
    if (row === undefined) return;
    const last = { ...row, aggregate: aggregateOf([9, 8, 7]) };
    await Promise.all([store.write([row, row]), store.write([row]), store.write([row, last])]);
    for await (const found of store.read(EVERYTHING))
      expect(found.map(({ aggregate }) => aggregate.count)).toEqual([3]);
  });

  test('reads beyond their bound are rejected as unavailable', async () => {
    const store = await open({ maxConcurrentReads: 1 });
    await store.write(rows(5_000));
    const first = store.read(EVERYTHING)[Symbol.asyncIterator]();
    await first.next();
    const second = store.read(EVERYTHING)[Symbol.asyncIterator]();
    await expect(second.next()).rejects.toBeInstanceOf(MetricStoreUnavailableError);
    await first.return?.();
    const third = store.read(EVERYTHING)[Symbol.asyncIterator]();
    expect((await third.next()).done).toBe(false);
    await third.return?.();
  });
});

const EVERYTHING = { metric: 'm', resolutionMs: 1_000, from: 0, to: 1e12, distributions: true };

const OPEN_AND_WAIT = `
  import { DuckDBInstance } from ${JSON.stringify(import.meta.resolve('@duckdb/node-api'))};
  const instance = await DuckDBInstance.create(process.env.FILE);
  await instance.connect();
  console.log('open');
  setInterval(() => {}, 1000);
`;

function rows(count: number, from = 0): WindowAggregate[] {
  return Array.from({ length: count }, (_, i) => ({
    deviceId: `d${from + i}`,
    metric: 'm',
    resolutionMs: 1_000,
    windowStart: 0,
    pane: 0,
    aggregate: aggregateOf([i]),
  }));
}
