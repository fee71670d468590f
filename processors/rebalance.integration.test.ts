import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import type { EventLog } from '../event-log/event-log.ts';
import { openKafkaEventLog } from '../event-log/kafka/kafka-event-log.ts';
import { encodeTelemetryEvent } from '../event-log/telemetry-event.ts';
import { topicNames } from '../event-log/topics.ts';
import { openEmbeddedMetricStore } from '../metric-store/embedded/embedded-metric-store.ts';
import type { MetricStore, WindowAggregate } from '../metric-store/metric-store.ts';
import type { FoldConfig } from './fold-config.ts';
import { identityOf } from './fold-oracle.fixture.ts';
import { openProcessor, type Processor } from './processor.ts';

const DAY_MS = 86_400_000;
const PATIENCE = { timeout: 40_000, interval: 50 };
const PARTITIONS = [0, 1];
const CONFIG: FoldConfig = {
  windowsMs: [1_000, 2_000],
  graceMs: 100,
  maxAheadMs: 60_000,
  maxAgeMs: DAY_MS,
  maxOpenAggregates: 1_000,
  maxDevices: 100,
};
/** The hung member is given up after this long. */
const TIMING = { sessionTimeoutMs: 6_000, rebalanceTimeoutMs: 3_000 };
const logger = pino({ level: 'silent' });

/** Holds calls back while it is shut. */
class Gate {
  /** Calls that wait or are under way. */
  pending = 0;
  #open: () => void = () => {};
  #opened: Promise<void> = Promise.resolve();

  shut(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }

  async pass(call: () => Promise<void>): Promise<void> {
    this.pending++;
    try {
      await this.#opened;
      await call();
    } finally {
      this.pending--;
    }
  }
}

/** A processor whose writes and checkpoints can be held back on their way out. */
interface Member {
  readonly processor: Processor;
  readonly log: EventLog;
  readonly writes: Gate;
  readonly saves: Gate;
  /** What it has saved, by partition, oldest first. */
  readonly saved: ReadonlyMap<number, Uint8Array[]>;
  /** The partitions of which it has folded something since they were assigned. */
  partitions(): Promise<number[]>;
}

/** Readings sent to partitions, each partition with a device of its own. */
class Sender {
  readonly #log: EventLog;
  readonly #topic: string;
  sent = 0;
  sum = 0;

  constructor(log: EventLog, topic: string) {
    this.#log = log;
    this.#topic = topic;
  }

  /** One reading to each partition. `ts` is its event time. */
  async send(ts = Date.now()): Promise<void> {
    const seq = this.sent / PARTITIONS.length;
    const payload = Buffer.from(JSON.stringify({ ts, seq, metrics: { temperature: seq } }));
    await Promise.all(
      PARTITIONS.map((partition) =>
        this.#log.append(this.#topic, partition, `d${partition}`, encodeTelemetryEvent(ts, payload)),
      ),
    );
    this.sent += PARTITIONS.length;
    this.sum += PARTITIONS.length * seq;
  }
}

async function openLog(prefix: string): Promise<EventLog> {
  const { telemetry, quarantine } = topicNames(prefix);
  const spec = { partitions: PARTITIONS.length, retentionMs: DAY_MS, maxRecordBytes: 1_048_576 };
  const log = await openKafkaEventLog({
    brokers: inject('kafkaBrokers').split(','),
    clientId: prefix,
    topics: [
      { ...spec, name: telemetry },
      { ...spec, name: quarantine },
    ],
    checkpointTopic: `${prefix}.checkpoints`,
    consumerTiming: TIMING,
    logger,
  });
  onTestFinished(() => log.close());
  return log;
}

async function openStore(): Promise<MetricStore> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-rebalance-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const resolutions = CONFIG.windowsMs.map((resolutionMs) => ({ resolutionMs, retentionMs: 30 * DAY_MS }));
  const store = await openEmbeddedMetricStore({ folder, resolutions, logger });
  onTestFinished(() => store.close());
  return store;
}

async function openMember(prefix: string, store: MetricStore): Promise<Member> {
  const log = await openLog(prefix);
  const registry = new Registry();
  const [writes, saves] = [new Gate(), new Gate()];
  const saved = new Map<number, Uint8Array[]>(PARTITIONS.map((partition) => [partition, []]));
  const processor = await openProcessor({
    log: heldBack(log, saves, saved),
    store: { ...facade(store), write: (rows) => writes.pass(() => store.write(rows)) },
    topics: topicNames(prefix),
    group: prefix,
    fold: CONFIG,
    maxConcurrentWrites: 4,
    maxRowsPerWrite: 100,
    checkpointIntervalMs: 0,
    logger,
    registry,
    clock: Date.now,
  });
  onTestFinished(async () => {
    for (const gate of [writes, saves]) gate.open();
    await processor.close();
  });
  return { processor, log, writes, saves, saved, partitions: () => partitionsIn(registry) };
}

function facade(store: MetricStore): MetricStore {
  return {
    write: (rows) => store.write(rows),
    read: (selection) => store.read(selection),
    series: () => store.series(),
    ping: () => store.ping(),
    close: async () => {},
  };
}

function heldBack(log: EventLog, saves: Gate, saved: ReadonlyMap<number, Uint8Array[]>): EventLog {
  return {
    partitions: (topic) => log.partitions(topic),
    append: (...given) => log.append(...given),
    consume: (options) => log.consume(options),
    offsets: (...given) => log.offsets(...given),
    loadCheckpoints: (...given) => log.loadCheckpoints(...given),
    ping: () => log.ping(),
    close: () => log.close(),
    saveCheckpoint: (group, partition, checkpoint) =>
      saves.pass(async () => {
        await log.saveCheckpoint(group, partition, checkpoint);
        saved.get(partition)?.push(checkpoint);
      }),
  };
}

async function partitionsIn(registry: Registry): Promise<number[]> {
  const { values } = (await registry.getSingleMetric('sluice_processor_lag_records')?.get()) ?? {
    values: [],
  };
  return values.map(({ labels }) => Number(labels.partition)).sort();
}

async function storedRows(store: MetricStore, resolutionMs: number): Promise<WindowAggregate[]> {
  const rows: WindowAggregate[] = [];
  const range = { from: 0, to: Date.now() + DAY_MS };
  for await (const chunk of store.read({
    metric: 'temperature',
    resolutionMs,
    ...range,
    distributions: true,
  })) {
    rows.push(...chunk);
  }
  return rows;
}

/** Readings in the stored rows of each resolution, and their sum. */
async function totals(store: MetricStore): Promise<{ count: number; sum: number }[]> {
  return Promise.all(
    CONFIG.windowsMs.map(async (resolutionMs) => {
      const rows = await storedRows(store, resolutionMs);
      return {
        count: rows.reduce((count, { aggregate }) => count + aggregate.count, 0),
        sum: rows.reduce((sum, { aggregate }) => sum + aggregate.sum, 0),
      };
    }),
  );
}

/** Rows by identity; raw values in order, because nothing depends on theirs. */
async function snapshot(store: MetricStore): Promise<Map<string, WindowAggregate>> {
  const rows = (await Promise.all(CONFIG.windowsMs.map((size) => storedRows(store, size)))).flat();
  return new Map(
    rows.map((row) => {
      const { distribution } = row.aggregate;
      if (distribution.kind === 'raw') distribution.values.sort((a, b) => a - b);
      return [identityOf(row), row];
    }),
  );
}

/** Twice, because the two newest are kept: then both are the oldest. */
async function saveOldestAgain({ log, saved }: Member, group: string): Promise<void> {
  for (const [partition, [oldest]] of saved) {
    if (oldest === undefined) throw new Error(`no checkpoint of partition ${partition} was saved`);
    for (let n = 0; n < 2; n++) await log.saveCheckpoint(group, partition, oldest);
  }
}

describe.skipIf(inject('kafkaBrokers') === '')('a processor that has lost its partitions', () => {
  test('and still writes rows and checkpoints of what it folded before changes nothing', async () => {
    const prefix = `test-${Math.random().toString(36).slice(2, 10)}`;
    const store = await openStore();
    const sender = new Sender(await openLog(prefix), topicNames(prefix).telemetry);
    const allStored = () =>
      expect
        .poll(() => totals(store), PATIENCE)
        .toEqual(CONFIG.windowsMs.map(() => ({ count: sender.sent, sum: sender.sum })));

    const zombie = await openMember(prefix, store);
    // The oldest checkpoint has a window open in which more will come.
    const ahead = Date.now() + 5_000;
    await sender.send(ahead);
    await expect
      .poll(() => [...zombie.saved.values()].every(({ length }) => length > 0), PATIENCE)
      .toBe(true);
    for (let n = 0; n < 10; n++) await sender.send(ahead);
    await allStored();

    zombie.saves.shut();
    await sender.send();
    await expect.poll(() => zombie.saves.pending, PATIENCE).toBe(PARTITIONS.length);
    zombie.writes.shut();
    await expect.poll(() => zombie.writes.pending, PATIENCE).toBe(PARTITIONS.length);

    const successor = await openMember(prefix, store);
    await expect.poll(() => successor.partitions(), PATIENCE).toEqual(PARTITIONS);
    for (let n = 0; n < 10; n++) await sender.send();
    await allStored();
    const before = await snapshot(store);

    zombie.writes.open();
    zombie.saves.open();
    await expect.poll(() => zombie.writes.pending + zombie.saves.pending, PATIENCE).toBe(0);
    successor.saves.shut();
    await saveOldestAgain(zombie, prefix);
    expect(await snapshot(store)).toEqual(before);

    const left = successor.processor.close();
    for (let n = 0; n < 10; n++) await sender.send();
    await allStored();
    expect(await zombie.partitions()).toEqual(PARTITIONS);
    successor.saves.open();
    await left;
  });
});
