import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, onTestFinished, vi } from 'vitest';
import { openEmbeddedEventLog } from '../event-log/embedded/embedded-event-log.ts';
import { BatchKeys } from '../event-log/embedded/keys.ts';
import type { EventLog } from '../event-log/event-log.ts';
import { partitionOf } from '../event-log/partition.ts';
import { encodeTelemetryEvent, encodeTick } from '../event-log/telemetry-event.ts';
import { topicNames } from '../event-log/topics.ts';
import { openEmbeddedMetricStore } from '../metric-store/embedded/embedded-metric-store.ts';
import type { MetricStore, WindowAggregate } from '../metric-store/metric-store.ts';
import { FOLD_CONFIG } from './fold.fixture.ts';
import type { FoldConfig } from './fold-config.ts';
import { identityOf } from './fold-oracle.fixture.ts';
import { restoreFold } from './fold-restore.ts';
import { openProcessor } from './processor.ts';
import { createProcessorEvents } from './processor-events.ts';

export const TOPICS = topicNames('test');
export const PARTITIONS = 2;
export const LOG_RETENTION_MS = 3_600_000;
/** A multiple of every window size. */
export const BEGINNING = 1_732_460_000_000;
export const RESOLUTIONS = FOLD_CONFIG.windowsMs.map((resolutionMs) => ({ resolutionMs }));

const GROUP = 'live';
const BEHIND_MS = 1e9;
const PATIENCE = { timeout: 20_000, interval: 20 };
export const logger = pino({ level: 'silent' });

/** What a device sends; `ageMs` is how long before the append it was measured. */
export interface SentMessage {
  readonly ageMs?: number;
  readonly seq?: number;
  readonly metrics: Readonly<Record<string, number | boolean | string>>;
}

/** An embedded log whose clock is set by hand, an embedded store, and a processor that folds the one into the other. */
export class RecordedRun {
  /** Log time, ms since the epoch. */
  now = BEGINNING;
  readonly #folder: string;
  readonly #fold: FoldConfig;
  #log: EventLog | undefined;
  #store: MetricStore | undefined;
  readonly #opened: MetricStore[] = [];
  #ticks = 0;
  #ticksFolded = 0;

  private constructor(folder: string, fold: FoldConfig) {
    this.#folder = folder;
    this.#fold = fold;
  }

  /** Closed and removed when the test ends, or with what `atEnd` is given. */
  static async open(
    fold: FoldConfig = FOLD_CONFIG,
    atEnd: (close: () => Promise<void>) => void = onTestFinished,
  ): Promise<RecordedRun> {
    const run = new RecordedRun(await mkdtemp(join(tmpdir(), 'sluice-recompute-')), fold);
    atEnd(() => run.#close());
    await run.#openLog();
    run.#store = await run.openStore();
    return run;
  }

  get fold(): FoldConfig {
    return this.#fold;
  }

  get log(): EventLog {
    if (this.#log === undefined) throw new Error('the log is closed');
    return this.#log;
  }

  get store(): MetricStore {
    if (this.#store === undefined) throw new Error('the store is closed');
    return this.#store;
  }

  async send(deviceId: string, messages: SentMessage | readonly SentMessage[]): Promise<void> {
    const withTimes = [messages].flat().map(({ ageMs, seq, metrics }) => ({
      ...(ageMs === undefined ? {} : { ts: this.now - ageMs }),
      ...(seq === undefined ? {} : { seq }),
      metrics,
    }));
    const payload = JSON.stringify(withTimes.length === 1 ? withTimes[0] : withTimes);
    await this.deliver(deviceId, payload);
  }

  /** Appends a payload as the gateway does; the same text again is a repetition. */
  async deliver(deviceId: string, payload: string): Promise<void> {
    await this.append(deviceId, encodeTelemetryEvent(this.now, Buffer.from(payload)));
  }

  async append(deviceId: string, value: Buffer): Promise<void> {
    await this.log.append(TOPICS.telemetry, partitionOf(deviceId, PARTITIONS), deviceId, value);
  }

  /** Lets log time pass in every partition. */
  async tick(ms: number): Promise<void> {
    this.now += ms;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await this.log.append(TOPICS.telemetry, partition, '', encodeTick());
      this.#ticks++;
    }
  }

  /** Ends the log with ticks and folds what has not been folded, as the live processor does. */
  async foldAll(): Promise<void> {
    await this.tick(0);
    const registry = new Registry();
    const processor = await openProcessor({
      log: this.log,
      store: this.store,
      topics: TOPICS,
      group: GROUP,
      fold: this.#fold,
      maxConcurrentWrites: 4,
      maxRowsPerWrite: 500,
      checkpointIntervalMs: 0,
      logger,
      registry,
      // Far behind, so that the processor's own ticks never become due.
      clock: () => this.now - BEHIND_MS,
    });
    await vi.waitFor(async () => {
      const metric = await registry.getSingleMetric('sluice_processor_ticks_total')?.get();
      expect((metric?.values[0]?.value ?? 0) + this.#ticksFolded).toBe(this.#ticks);
    }, PATIENCE);
    await processor.close();
    this.#ticksFolded = this.#ticks;
  }

  /** Up to where the live group has folded a partition. */
  async foldedPosition(partition: number) {
    const events = createProcessorEvents(new Registry(), logger);
    const { state } = await restoreFold(this.log, GROUP, partition, this.#fold, events);
    const { nextOffset, logTime } = state;
    return nextOffset === 0n ? undefined : { nextOffset, logTime };
  }

  /** A store of its own, closed with the run. */
  async openStore(): Promise<MetricStore> {
    const folder = join(this.#folder, `store-${this.#opened.length}`);
    const store = await openEmbeddedMetricStore({ folder, resolutions: RESOLUTIONS, logger });
    this.#opened.push(store);
    return store;
  }

  /** A store that holds the rows of another that are chosen. */
  async copyOf(rows: Iterable<WindowAggregate>): Promise<MetricStore> {
    const copy = await this.openStore();
    await copy.write([...rows]);
    return copy;
  }

  /** Removes the stored batch that holds an offset of the telemetry topic, as damage to the file would. */
  async removeBatchAt(partition: number, offset: bigint): Promise<void> {
    await this.log.close();
    const folder = join(this.#folder, 'log');
    const db = open<Buffer, Buffer>({
      path: folder,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
    });
    const keys = new BatchKeys(TOPICS.telemetry, partition);
    const [key] = db.getKeys({ start: keys.lastAt(offset), end: keys.first, reverse: true, limit: 1 });
    if (key === undefined) throw new Error(`no batch holds offset ${offset}`);
    await db.remove(key);
    await db.close();
    await this.#openLog();
  }

  /** Lets time pass until retention has deleted the records from before a log time. */
  async expire(logTime: number): Promise<void> {
    this.now = logTime + LOG_RETENTION_MS + 20_000;
    // Expired records are looked for soon after opening.
    await this.log.close();
    await this.#openLog();
    await vi.waitFor(async () => {
      for (const { atLogTime, earliest } of await this.log.offsets(TOPICS.telemetry, logTime))
        expect(atLogTime).toBe(earliest);
    }, PATIENCE);
  }

  async #openLog(): Promise<void> {
    const spec = { partitions: PARTITIONS, retentionMs: LOG_RETENTION_MS, maxRecordBytes: 1_048_576 };
    const topics = [TOPICS.telemetry, TOPICS.quarantine].map((name) => ({ ...spec, name }));
    const clock = () => this.now;
    this.#log = await openEmbeddedEventLog({ folder: join(this.#folder, 'log'), topics, logger, clock });
  }

  async #close(): Promise<void> {
    await this.#log?.close();
    for (const store of this.#opened) await store.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Every row of a store by identity. */
export async function rowsOf(store: MetricStore): Promise<Map<string, WindowAggregate>> {
  const rows = new Map<string, WindowAggregate>();
  const metrics = new Set((await store.series()).map(({ metric }) => metric));
  for (const metric of metrics) {
    for (const { resolutionMs } of RESOLUTIONS) {
      const selection = { metric, resolutionMs, from: 0, to: 9e12, distributions: true };
      for await (const chunk of store.read(selection))
        for (const row of chunk) rows.set(identityOf(row), row);
    }
  }
  return rows;
}

const DEVICES = ['counting-a', 'counting-c', 'timed-only', 'numbered-only', 'neither'];

/**
 * Sends from devices of every kind for a while of log time: on time, late, stored while offline, repeated, too old, too far
 * ahead and undecodable. The same every time.
 */
export async function sendEverything(run: RecordedRun, forMs: number): Promise<void> {
  const random = randomNumbers(forMs);
  const sent = new Map<string, string[]>();
  let seq = 0;
  for (const end = run.now + forMs; run.now < end; run.now += Math.floor(random() * 900)) {
    const sending: Promise<void>[] = [];
    for (const deviceId of DEVICES) {
      const earlier = sent.get(deviceId) ?? [];
      const isRepeated = earlier.length > 0 && random() < 0.15;
      const payload = isRepeated
        ? (earlier[Math.floor(random() * earlier.length)] ?? '')
        : payloadOf(deviceId, run.now, seq++, random);
      sent.set(deviceId, [...earlier, payload].slice(-20));
      sending.push(run.deliver(deviceId, payload));
    }
    if (random() < 0.05) sending.push(run.append('counting-a', Buffer.from('{"v":99}')));
    await Promise.all(sending);
  }
}

function payloadOf(deviceId: string, now: number, seq: number, random: () => number): string {
  const count = random() < 0.2 ? 3 : 1;
  const messages = Array.from({ length: count }, (_, index) => ({
    ...(/counting|timed/.test(deviceId) ? { ts: now - ageOf(random) } : {}),
    ...(/counting|numbered/.test(deviceId) ? { seq: seq * 3 + index } : {}),
    metrics: {
      temperature: random() * 100 - 50,
      level: Math.floor(random() * 5),
      door: random() < 0.5,
      note: 'x',
    },
  }));
  return JSON.stringify(count === 1 ? messages[0] : messages);
}

function ageOf(random: () => number): number {
  const kind = random();
  if (kind < 0.7) return Math.floor(random() * 800) - 400;
  if (kind < 0.94) return Math.floor(random() * FOLD_CONFIG.maxAgeMs);
  return kind < 0.97 ? FOLD_CONFIG.maxAgeMs + 5_000 : -FOLD_CONFIG.maxAheadMs - 5_000;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
