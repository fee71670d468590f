import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { openEmbeddedEventLog } from '../event-log/embedded/embedded-event-log.ts';
import type { EventLog } from '../event-log/event-log.ts';
import { encodeTelemetryEvent } from '../event-log/telemetry-event.ts';
import { topicNames } from '../event-log/topics.ts';
import { openEmbeddedMetricStore } from '../metric-store/embedded/embedded-metric-store.ts';
import { encodeCheckpoint } from './checkpoint.ts';
import { createFoldOutput, step } from './fold.ts';
import type { FoldConfig } from './fold-config.ts';
import { createFoldState } from './fold-state.ts';
import { openProcessor } from './processor.ts';

const DAY_MS = 86_400_000;
const TOPICS = topicNames('test');
const CONFIG: FoldConfig = {
  windowsMs: [500],
  graceMs: 100,
  maxAheadMs: 60_000,
  maxAgeMs: DAY_MS,
  maxOpenAggregates: 1_000,
  maxDevices: 100,
};
const logger = pino({ level: 'silent' });

/** A checkpoint of a partition with a window open that log time alone will close. */
function checkpointWithOpenWindow(): Uint8Array {
  const state = createFoldState(CONFIG.windowsMs.length);
  const now = Date.now();
  const value = encodeTelemetryEvent(now, Buffer.from(`{"ts":${now},"metrics":{"t":1}}`));
  step(CONFIG, state, { offset: -1n, logTime: now, key: Buffer.from('d1'), value }, createFoldOutput());
  return encodeCheckpoint(state, CONFIG);
}

test('a processor that is closed while a partition is being assigned ticks no more', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-close-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const spec = { partitions: 1, retentionMs: DAY_MS, maxRecordBytes: 1_048_576 };
  const topics = [TOPICS.telemetry, TOPICS.quarantine].map((name) => ({ ...spec, name }));
  const log = await openEmbeddedEventLog({ folder: join(folder, 'log'), topics, logger });
  onTestFinished(() => log.close());
  const resolutions = [{ resolutionMs: 500, retentionMs: 30 * DAY_MS }];
  const store = await openEmbeddedMetricStore({ folder: join(folder, 'store'), resolutions, logger });
  onTestFinished(() => store.close());
  await log.saveCheckpoint('test', 0, checkpointWithOpenWindow());

  let assign: () => void = () => {};
  const assigning = new Promise<void>((resolve) => {
    assign = resolve;
  });
  let loads = 0;
  let ticks = 0;
  const slow: EventLog = {
    partitions: (topic) => log.partitions(topic),
    append: (...given) => {
      ticks++;
      return log.append(...given);
    },
    consume: (options) => log.consume(options),
    offsets: (...given) => log.offsets(...given),
    saveCheckpoint: (...given) => log.saveCheckpoint(...given),
    loadCheckpoints: async (...given) => {
      loads++;
      await assigning;
      return log.loadCheckpoints(...given);
    },
    ping: () => log.ping(),
    close: () => log.close(),
  };
  const processor = await openProcessor({
    log: slow,
    store,
    topics: TOPICS,
    group: 'test',
    fold: CONFIG,
    maxConcurrentWrites: 4,
    maxRowsPerWrite: 100,
    checkpointIntervalMs: 0,
    logger,
    registry: new Registry(),
    clock: Date.now,
  });
  await expect.poll(() => loads).toBe(1);
  const closed = processor.close();
  assign();
  await closed;
  ticks = 0;
  // A partition that went on ticking would do so once its window ends, and every second from then on.
  await delay(2_000);
  expect(ticks).toBe(0);
});
