import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openEmbeddedEventLog } from './event-log/embedded/embedded-event-log.ts';
import { EventLogUnavailableError, RecordTooLargeError } from './event-log/errors.ts';
import type { EventLog } from './event-log/event-log.ts';
import { partitionOf } from './event-log/partition.ts';
import { encodeQuarantineEvent } from './event-log/quarantine-event.ts';
import { decodeTelemetryEvent } from './event-log/telemetry-event.ts';
import { topicNames } from './event-log/topics.ts';
import { compileTopicTemplate } from './gateway/device-topic.ts';
import { listQuarantine } from './gateway/quarantine/quarantine-listing.ts';
import type { QuarantineTopic, RangeReader } from './gateway/quarantine/quarantine-topic.ts';
import { Redrive, type RedriveOptions } from './gateway/quarantine/redrive.ts';
import { readLogRange } from './processors/log-range.ts';

const TOPICS = topicNames('test');
const PARTITIONS = 3;

/** An event log with a quarantine topic in it, whose appends can be made to fail. */
class Quarantine {
  readonly #log: EventLog;
  /** Appends that go through from now on; those after them fail. */
  appendsLeft = Number.POSITIVE_INFINITY;
  failure: Error = new EventLogUnavailableError('the log is down');
  readRanges: RangeReader = readLogRange;

  private constructor(log: EventLog) {
    this.#log = log;
  }

  static async open(): Promise<Quarantine> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-redrive-'));
    const topics = [TOPICS.telemetry, TOPICS.quarantine].map((name) => ({
      name,
      partitions: PARTITIONS,
      retentionMs: 86_400_000,
      maxRecordBytes: 100_000,
    }));
    const log = await openEmbeddedEventLog({ folder, topics });
    onTestFinished(async () => {
      await log.close();
      await rm(folder, { recursive: true });
    });
    return new Quarantine(log);
  }

  async add(deviceId: string, payload: string): Promise<void> {
    const mqttTopic = `devices/${deviceId}/telemetry`;
    const origin = { kind: 'mqtt', mqttTopic, clientId: 'client' } as const;
    const event = { reason: 'not_json', detail: '', origin, received: Date.now() } as const;
    const value = encodeQuarantineEvent({ ...event, payload: Buffer.from(payload) });
    await this.addRaw(deviceId, value);
  }

  async addRaw(key: string, value: Buffer): Promise<void> {
    await this.#log.append(TOPICS.quarantine, partitionOf(key, PARTITIONS), key, value);
  }

  /** Redrives everything. A failure of the log is handed back. */
  async redrive(changes: Partial<RedriveOptions> = {}) {
    const rules = {
      deviceIdOf: compileTopicTemplate('devices/{deviceId}/telemetry'),
      limits: { maxPayloadBytes: 10_000, maxMetrics: 10 },
      maxAgeMs: 60_000,
      maxAheadMs: 60_000,
    };
    const run = new Redrive({
      topic: this.#topic(),
      telemetryTopic: TOPICS.telemetry,
      rules,
      selection: { kind: 'all' },
      isForced: false,
      clock: Date.now,
      ...changes,
    });
    await run.survey();
    const error = await run.run().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return { report: run.report, error };
  }

  async states(): Promise<string[]> {
    const { events } = await listQuarantine(this.#topic(), { since: 0, limit: 1_000 });
    return events.map(({ redriven }) => (redriven === undefined ? 'open' : 'redriven'));
  }

  async listing(limit: number) {
    return listQuarantine(this.#topic(), { since: 0, limit });
  }

  /** Numbers of the messages in the telemetry topic, by device in the order of the log. */
  async sequences(): Promise<Map<string, (number | undefined)[]>> {
    const seen = new Map<string, (number | undefined)[]>();
    const offsets = await this.#log.offsets(TOPICS.telemetry, 0);
    await readLogRange({
      ...this.#topic(),
      topic: TOPICS.telemetry,
      purpose: 'test',
      ranges: offsets.map(({ earliest, end }, partition) => ({ partition, from: earliest, to: end })),
      onRecords: (_, records) => {
        for (const { key, value } of records) {
          const event = decodeTelemetryEvent(value);
          const numbers = event.kind === 'messages' ? event.messages.map(({ seq }) => seq) : [];
          seen.set(key.toString(), [...(seen.get(key.toString()) ?? []), ...numbers]);
        }
      },
    });
    return seen;
  }

  #topic(): QuarantineTopic {
    const log: EventLog = {
      partitions: (topic) => this.#log.partitions(topic),
      append: async (topic, partition, key, value) => {
        if (this.appendsLeft-- <= 0) throw this.failure;
        return this.#log.append(topic, partition, key, value);
      },
      consume: (options) => this.#log.consume(options),
      offsets: (topic, logTime) => this.#log.offsets(topic, logTime),
      saveCheckpoint: (group, partition, checkpoint) =>
        this.#log.saveCheckpoint(group, partition, checkpoint),
      loadCheckpoints: (group, partition) => this.#log.loadCheckpoints(group, partition),
      ping: () => this.#log.ping(),
      close: async () => {},
    };
    const onFailure = (error: Error) => expect.unreachable(error.message);
    const { signal } = new AbortController();
    return { log, name: TOPICS.quarantine, readRanges: this.readRanges, onFailure, signal };
  }
}

const message = (seq: number) => `{"seq":${seq},"metrics":{"t":1}}`;

test('messages of a device are redriven in their order', async () => {
  const quarantine = await Quarantine.open();
  const seqs = Array.from({ length: 250 }, (_, seq) => seq);
  for (const seq of seqs) await quarantine.add(seq % 2 === 0 ? 'even' : 'odd', message(seq));
  expect((await quarantine.redrive()).report.redriven).toBe(250);
  const seen = await quarantine.sequences();
  expect(seen.get('even')).toEqual(seqs.filter((seq) => seq % 2 === 0));
  expect(seen.get('odd')).toEqual(seqs.filter((seq) => seq % 2 === 1));
});

test('a redrive that the log cuts short reports how far it came, and the next one does the rest', async () => {
  const quarantine = await Quarantine.open();
  for (let seq = 0; seq < 10; seq++) await quarantine.add('a', message(seq));
  quarantine.appendsLeft = 14;
  const cut = await quarantine.redrive();
  expect(cut.error).toBe(quarantine.failure);
  expect(cut.report.redriven).toBe(10);
  const states = await quarantine.states();
  expect(states.filter((state) => state === 'redriven')).toHaveLength(4);

  // What has no marker is redriven again: the fold recognises it.
  quarantine.appendsLeft = Number.POSITIVE_INFINITY;
  const { report, error } = await quarantine.redrive();
  expect([report.redriven, report.alreadyRedriven, error]).toEqual([6, 4, undefined]);
  expect(new Set(await quarantine.states())).toEqual(new Set(['redriven']));
  expect(new Set((await quarantine.sequences()).get('a'))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
});

test('records that come again because their partition was lost meanwhile are not redriven again', async () => {
  const quarantine = await Quarantine.open();
  for (let seq = 0; seq < 10; seq++) await quarantine.add('a', message(seq));
  quarantine.appendsLeft = 7;
  quarantine.readRanges = (options) =>
    readLogRange({
      ...options,
      onRecords: async (partition, records, signal) => {
        try {
          await options.onRecords(partition, records, signal);
        } catch {
          quarantine.appendsLeft = Number.POSITIVE_INFINITY;
          await options.onRecords(partition, records, signal);
        }
      },
    });
  const { report, error } = await quarantine.redrive();
  expect([report.redriven, error]).toEqual([10, undefined]);
  expect((await quarantine.sequences()).get('a')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a payload that the log does not take is still unusable, and does not stop the others', async () => {
  const quarantine = await Quarantine.open();
  await quarantine.add('a', message(1));
  quarantine.appendsLeft = 0;
  quarantine.failure = new RecordTooLargeError('too large');
  const { report, error } = await quarantine.redrive();
  expect([error, report.redriven, report.unusable]).toEqual([
    undefined,
    0,
    new Map([['payload_too_large', 1]]),
  ]);
  expect(await quarantine.states()).toEqual(['open']);
});

test('records of a version to come are counted in a listing, and left alone', async () => {
  const quarantine = await Quarantine.open();
  await quarantine.addRaw('a', Buffer.from('{"v":2}'));
  await quarantine.add('a', message(1));
  expect((await quarantine.redrive()).report.redriven).toBe(1);
  expect(await quarantine.listing(10)).toMatchObject({ matching: 1, unreadable: 1 });
});

test('a listing keeps the newest of all partitions, and their markers', async () => {
  const quarantine = await Quarantine.open();
  for (let seq = 0; seq < 30; seq++) await quarantine.add(`device-${seq % 7}`, message(seq));
  await quarantine.redrive();
  for (let seq = 30; seq < 33; seq++) await quarantine.add('device-0', message(seq));
  const { events, matching } = await quarantine.listing(4);
  expect(matching).toBe(33);
  expect(events.map(({ event }) => JSON.parse(event.payload.toString()).seq).slice(-3)).toEqual([30, 31, 32]);
  expect(events.map(({ redriven }) => redriven !== undefined)).toEqual([true, false, false, false]);
});
