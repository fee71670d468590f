import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openEmbeddedEventLog } from '../event-log/embedded/embedded-event-log.ts';
import type { EventLog } from '../event-log/event-log.ts';
import { encodeTelemetryEvent } from '../event-log/telemetry-event.ts';
import { topicNames } from '../event-log/topics.ts';
import { openEmbeddedMetricStore } from '../metric-store/embedded/embedded-metric-store.ts';
import { MetricStoreUnavailableError, RowsRefusedError } from '../metric-store/errors.ts';
import type { MetricStore, WindowAggregate } from '../metric-store/metric-store.ts';
import { openProcessor, type Processor, type ProcessorOptions } from './processor.ts';

const TOPICS = topicNames('test');
const WINDOW_MS = 500;
const DAY_MS = 86_400_000;
const logger = pino({ level: 'silent' });

let folder: string;
let log: EventLog;
let store: MetricStore;
let opened: { close(): Promise<void> }[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-processor-'));
  opened = [];
  log = await openLog();
  const resolutions = [{ resolutionMs: WINDOW_MS, retentionMs: 30 * DAY_MS }];
  store = keep(await openEmbeddedMetricStore({ folder: join(folder, 'store'), resolutions, logger }));
});

afterEach(async () => {
  for (const part of opened.toReversed()) await part.close();
  await rm(folder, { recursive: true });
});

function keep<T extends { close(): Promise<void> }>(part: T): T {
  opened.push(part);
  return part;
}

async function openLog(): Promise<EventLog> {
  const spec = { partitions: 2, retentionMs: DAY_MS, maxRecordBytes: 1_048_576 };
  const topics = [
    { ...spec, name: TOPICS.telemetry },
    { ...spec, name: TOPICS.quarantine },
  ];
  return keep(await openEmbeddedEventLog({ folder: join(folder, 'log'), topics, logger }));
}

async function open(
  overrides: Partial<ProcessorOptions> = {},
): Promise<{ processor: Processor; registry: Registry }> {
  const registry = new Registry();
  const processor = await openProcessor({
    log,
    store,
    topics: TOPICS,
    group: 'test',
    fold: {
      windowsMs: [WINDOW_MS],
      graceMs: 100,
      maxAheadMs: 60_000,
      maxAgeMs: 7 * DAY_MS,
      maxOpenAggregates: 1_000,
      maxDevices: 100,
    },
    maxConcurrentWrites: 4,
    maxRowsPerWrite: 3,
    checkpointIntervalMs: 0,
    logger,
    registry,
    clock: Date.now,
    ...overrides,
  });
  return { processor: keep(processor), registry };
}

async function send(deviceId: string, ts: number, value: number, partition = 0): Promise<void> {
  const payload = Buffer.from(JSON.stringify({ ts, metrics: { temperature: value } }));
  await log.append(TOPICS.telemetry, partition, deviceId, encodeTelemetryEvent(Date.now(), payload));
}

async function storedRows(): Promise<WindowAggregate[]> {
  const rows: WindowAggregate[] = [];
  const selection = {
    metric: 'temperature',
    resolutionMs: WINDOW_MS,
    from: 0,
    to: Date.now() + DAY_MS,
    distributions: true,
  };
  for await (const chunk of store.read(selection)) rows.push(...chunk);
  return rows;
}

async function storedCount(): Promise<number> {
  return (await storedRows()).reduce((count, { aggregate }) => count + aggregate.count, 0);
}

async function metric(registry: Registry, name: string): Promise<number> {
  const { values } = (await registry.getSingleMetric(name)?.get()) ?? { values: [] };
  return values.reduce((sum, { value }) => sum + value, 0);
}

const patient = { timeout: 10_000, interval: 20 };

/** A store that fails as told, in front of the real one. */
function failingStore(fail: (rows: readonly WindowAggregate[]) => Error | undefined): MetricStore {
  return {
    write: async (rows) => {
      const error = fail(rows);
      if (error instanceof RowsRefusedError) {
        const refused = new Set(error.refused.map(({ index }) => index));
        await store.write(rows.filter((_, index) => !refused.has(index)));
      }
      if (error !== undefined) throw error;
      await store.write(rows);
    },
    read: (selection) => store.read(selection),
    series: () => store.series(),
    ping: () => store.ping(),
    close: async () => {},
  };
}

describe('a processor', () => {
  test('closes the last window of a stream that has gone quiet, and then ticks no more', async () => {
    const { registry } = await open();
    await send('d1', Date.now(), 20);
    await expect.poll(storedCount, patient).toBe(1);
    await expect.poll(() => metric(registry, 'sluice_processor_open_aggregates'), patient).toBe(0);
    const ticks = await metric(registry, 'sluice_processor_ticks_total');
    expect(ticks).toBeGreaterThanOrEqual(1);
    await send('d1', Date.now(), 21);
    await expect.poll(storedCount, patient).toBe(2);
    expect(await metric(registry, 'sluice_processor_ticks_total')).toBeLessThanOrEqual(ticks + 3);
  });

  test('keeps partitions apart and stores every reading of both', async () => {
    await open();
    const now = Date.now();
    await Promise.all([send('d1', now, 1, 0), send('d2', now, 2, 1), send('d3', now - 60_000, 3, 1)]);
    await expect.poll(storedCount, patient).toBe(3);
    const late = (await storedRows()).find(({ deviceId }) => deviceId === 'd3');
    expect(late?.pane).toBeGreaterThanOrEqual(60_000 / WINDOW_MS - 1);
  });

  test('that was stopped in mid-window goes on where it was, counting nothing twice and losing nothing', async () => {
    const now = Date.now();
    const first = await open();
    for (let n = 0; n < 10; n++) await send('d1', now + n, n);
    await expect.poll(() => metric(first.registry, 'sluice_processor_readings_total'), patient).toBe(10);
    await first.processor.close();
    const second = await open();
    for (let n = 10; n < 20; n++) await send('d1', now + n, n);
    await expect.poll(storedCount, patient).toBe(20);
    await expect.poll(() => metric(second.registry, 'sluice_processor_open_aggregates'), patient).toBe(0);
    expect(await storedCount()).toBe(20);
  });

  test('retries a store that is away without folding anything twice, and says so meanwhile', async () => {
    let failures = 0;
    const away = failingStore(() => (failures++ < 4 ? new MetricStoreUnavailableError('away') : undefined));
    const { processor, registry } = await open({ store: away });
    await send('d1', Date.now(), 20);
    await vi.waitFor(() => expect(processor.failing()).toBe('metric store: away'), patient);
    await expect.poll(storedCount, patient).toBe(1);
    await expect.poll(() => processor.failing(), patient).toBeUndefined();
    expect(await metric(registry, 'sluice_processor_store_failures_total')).toBe(4);
  });

  test('closed while the store is away leaves its rows to the next one', async () => {
    const { processor } = await open({ store: failingStore(() => new MetricStoreUnavailableError('away')) });
    await send('d1', Date.now(), 20);
    await vi.waitFor(() => expect(processor.failing()).toBe('metric store: away'), patient);
    await processor.close();
    expect(await storedCount()).toBe(0);
    await open();
    await expect.poll(storedCount, patient).toBe(1);
  });

  test('counts rows that the store refuses for good, and goes on', async () => {
    const refusing = failingStore((rows) => {
      const refused = rows.flatMap((row, index) =>
        row.deviceId === 'bad' ? [{ index, reason: 'beyond retention' }] : [],
      );
      return refused.length === 0 ? undefined : new RowsRefusedError(refused);
    });
    const { registry } = await open({ store: refusing });
    await Promise.all([send('bad', Date.now(), 1), send('good', Date.now(), 2)]);
    await expect.poll(storedCount, patient).toBe(1);
    await expect.poll(() => metric(registry, 'sluice_processor_refused_rows_total'), patient).toBe(1);
  });

  test('moves a message of 1970 to the quarantine topic, with its place in the log', async () => {
    const { registry } = await open();
    await send('d1', 1_000, 1);
    const quarantined: Buffer[] = [];
    keep(
      await log.consume({
        topic: TOPICS.quarantine,
        group: 'reader',
        onAssigned: () => {},
        onRevoked: () => {},
        onError: (error) => expect.unreachable(error.message),
        onBatch: async ({ records }) => {
          quarantined.push(...records.map(({ value }) => Buffer.from(value)));
          return undefined;
        },
      }),
    );
    await expect.poll(() => quarantined.length, patient).toBe(1);
    expect(JSON.parse(String(quarantined[0]))).toMatchObject({
      reason: 'too_old',
      origin: { kind: 'record', partition: 0, offset: '0', index: 0 },
    });
    expect(await metric(registry, 'sluice_processor_quarantined_messages_total')).toBe(1);
  });

  test('of another window size in the same group is refused by name', async () => {
    const first = await open();
    await send('d1', Date.now(), 20);
    await expect.poll(storedCount, patient).toBe(1);
    await first.processor.close();
    const fold = {
      windowsMs: [1_000],
      graceMs: 100,
      maxAheadMs: 60_000,
      maxAgeMs: DAY_MS,
      maxOpenAggregates: 1_000,
      maxDevices: 100,
    };
    const second = await open({ fold }).catch((error: Error) => error.message);
    const reason =
      typeof second === 'string' ? second : await vi.waitUntil(() => second.processor.failing(), patient);
    expect(reason).toMatch(/set processor.group to a new name/);
  });
});
