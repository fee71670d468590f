import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openEmbeddedEventLog } from '../event-log/embedded/embedded-event-log.ts';
import type { EventLog, LogRecord } from '../event-log/event-log.ts';
import { encodeTelemetryEvent, encodeTick } from '../event-log/telemetry-event.ts';
import { topicNames } from '../event-log/topics.ts';
import { openEmbeddedMetricStore } from '../metric-store/embedded/embedded-metric-store.ts';
import type { MetricStore } from '../metric-store/metric-store.ts';
import { encodeCheckpoint } from './checkpoint.ts';
import type { FoldConfig } from './fold-config.ts';
import { FoldKeeper } from './fold-keeper.ts';
import { restoreFold } from './fold-restore.ts';
import { createFoldState } from './fold-state.ts';
import { type ConfigChange, PartitionFold } from './partition-fold.ts';
import { createProcessorEvents } from './processor-events.ts';
import { RowWriter } from './row-writer.ts';

const TOPICS = topicNames('test');
const GROUP = 'group';
const START = 1_732_460_000_000;
const HOUR_MS = 3_600_000;
const TIGHT: FoldConfig = {
  windowsMs: [1_000, 4_000],
  graceMs: 300,
  maxAheadMs: 5_000,
  maxAgeMs: 24 * HOUR_MS,
  maxOpenAggregates: 4,
  maxDevices: 100,
};
const WIDE: FoldConfig = { ...TIGHT, maxOpenAggregates: 1_000 };

let folder: string;
let log: EventLog;
let store: MetricStore;
const logger = pino({ level: 'silent' });
const events = createProcessorEvents(new Registry(), logger);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-budget-change-'));
  const topic = { partitions: 1, retentionMs: 24 * HOUR_MS, maxRecordBytes: 1_048_576 };
  const topics = [TOPICS.telemetry, TOPICS.quarantine].map((name) => ({ ...topic, name }));
  log = await openEmbeddedEventLog({ folder: join(folder, 'log'), topics, logger });
  const resolutions = TIGHT.windowsMs.map((resolutionMs) => ({ resolutionMs, retentionMs: 1e13 }));
  store = await openEmbeddedMetricStore({ folder: join(folder, 'store'), resolutions, logger });
});

afterEach(async () => {
  await Promise.all([log.close(), store.close()]);
  await rm(folder, { recursive: true });
});

/** Late readings of some windows, again and again, so that a tight budget closes their panes early. */
const records: LogRecord[] = Array.from({ length: 40 }, (_, index) => {
  const logTime = START + index * 20;
  const message = { ts: START - 60_000 - (index % 6) * 1_000, seq: index, metrics: { t: index } };
  const value = encodeTelemetryEvent(logTime, Buffer.from(JSON.stringify(message)));
  return { offset: BigInt(index), logTime, key: Buffer.from('d'), value };
});
const end: LogRecord = {
  offset: 40n,
  logTime: START + 60_000,
  key: Buffer.alloc(0),
  value: encodeTick(),
};

function foldWith(state: ReturnType<typeof createFoldState>, config: FoldConfig, change?: ConfigChange) {
  return new PartitionFold({
    partition: 0,
    state,
    config,
    ...(change !== undefined && { change }),
    log,
    quarantineTopic: TOPICS.quarantine,
    rowWriter: new RowWriter({ store, events, maxConcurrentWrites: 1, maxRowsPerWrite: 1_000 }),
    keeper: new FoldKeeper({ log, group: GROUP, partition: 0, config, intervalMs: HOUR_MS, events }),
    events,
  });
}

const batchOf = (batch: readonly LogRecord[]) => ({
  partition: 0,
  records: batch,
  endOffset: 41n,
  signal: new AbortController().signal,
});

async function storedReadings(resolutionMs: number): Promise<number> {
  let count = 0;
  const selection = { metric: 't', resolutionMs, from: 0, to: START + HOUR_MS, distributions: false };
  for await (const rows of store.read(selection)) for (const { aggregate } of rows) count += aggregate.count;
  return count;
}

test.each([
  { before: TIGHT, after: WIDE },
  { before: WIDE, after: TIGHT },
])(
  'budgets changed after a crash count every reading once: $before.maxOpenAggregates to $after.maxOpenAggregates',
  async ({ before, after }) => {
    await log.saveCheckpoint(GROUP, 0, encodeCheckpoint(createFoldState(2), before));
    await foldWith(createFoldState(2), before).fold(batchOf(records.slice(0, 30)));

    const restored = await restoreFold(log, GROUP, 0, after, events);
    expect(restored.config).toEqual(before);
    const next = foldWith(restored.state, restored.config, { config: after, from: 30n });
    await next.fold(batchOf(records));

    const again = await restoreFold(log, GROUP, 0, before, events);
    expect(again.config).toEqual(after);
    expect(again.state.nextOffset).toBe(30n);
    await foldWith(again.state, again.config).fold(batchOf([...records.slice(30), end]));
    for (const resolutionMs of TIGHT.windowsMs) expect(await storedReadings(resolutionMs)).toBe(40);
  },
);

test('a final checkpoint is followed by one that is not, before anything is folded', async () => {
  const first = foldWith(createFoldState(2), TIGHT);
  await first.fold(batchOf(records.slice(0, 10)));
  await first.close();
  const restored = await restoreFold(log, GROUP, 0, WIDE, events);
  expect(restored).toMatchObject({ config: TIGHT, isFinal: true, state: { nextOffset: 10n } });

  const next = foldWith(restored.state, restored.config, { config: WIDE, from: 10n });
  await next.fold(batchOf(records));
  const again = await restoreFold(log, GROUP, 0, TIGHT, events);
  expect(again).toMatchObject({ config: WIDE, isFinal: false, state: { nextOffset: 10n } });
  await foldWith(again.state, again.config).fold(batchOf([...records.slice(10), end]));
  for (const resolutionMs of TIGHT.windowsMs) expect(await storedReadings(resolutionMs)).toBe(40);
});
