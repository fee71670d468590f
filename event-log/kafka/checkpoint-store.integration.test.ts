import { randomUUID } from 'node:crypto';
import kafkajs, { type Admin } from 'kafkajs';
import { pino } from 'pino';
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { EventLogClosedError, TopicMismatchError, UnknownTopicError } from '../errors.ts';
import type { EventLog } from '../event-log.ts';
import { createKafkaClient } from './kafka-client.ts';
import { type KafkaEventLogOptions, openKafkaEventLog } from './kafka-event-log.ts';
import { PartitionReader } from './partition-reader.ts';

const PATIENCE = { timeout: 90_000, interval: 500 };
const brokers = inject('kafkaBrokers').split(',');
const logger = pino({ level: 'silent' });
const connection = { brokers, clientId: 'test', logger };

describe.skipIf(brokers[0] === '')('checkpoints on Kafka', () => {
  test('their topic is compacted, takes 32 MiB and has as many partitions as the largest other', async () => {
    const checkpointTopic = nameOf('checkpoints');
    await open({ checkpointTopic, topics: [topicOf(2), topicOf(5), topicOf(1)] });
    await withAdmin(async (admin) => {
      expect(await configOf(admin, checkpointTopic)).toMatchObject({
        'cleanup.policy': 'compact',
        'max.message.bytes': '33555584',
        'segment.bytes': '33555584',
      });
      const { topics } = await admin.fetchTopicMetadata({ topics: [checkpointTopic] });
      expect(topics[0]?.partitions.length).toBe(5);
    });
  });

  test('a topic that deletes by age is refused by name', async () => {
    const checkpointTopic = nameOf('checkpoints');
    await open({ topics: [{ ...topicOf(1), name: checkpointTopic, maxRecordBytes: 40_000_000 }] });
    const opening = open({ checkpointTopic });
    await expect(opening).rejects.toThrow(TopicMismatchError);
    await expect(opening).rejects.toThrow(/cleanup.policy=delete, expected compact: kafka-configs.sh/);
  });

  test('a log opened without their topic refuses them by name', async () => {
    const log = await open({});
    await expect(log.saveCheckpoint('group', 0, Buffer.alloc(1))).rejects.toThrow(UnknownTopicError);
    await expect(log.loadCheckpoints('group', 0)).rejects.toThrow(UnknownTopicError);
  });

  test('the two newest are there when all others of the group and partition have been compacted away', async () => {
    const checkpointTopic = nameOf('checkpoints');
    const log = await open({ checkpointTopic });
    await withAdmin((admin) => compactSoon(admin, checkpointTopic));
    const saved: string[] = [];
    const save = async () => {
      saved.unshift(`${saved.length}`);
      await log.saveCheckpoint('group', 0, Buffer.from(saved[0] ?? ''));
      // Longer than a segment may be written to.
      await new Promise((resolve) => setTimeout(resolve, 60));
    };
    for (let i = 0; i < 20; i++) await save();
    await log.saveCheckpoint('other', 0, Buffer.from('the only one'));
    await vi.waitFor(async () => expect(await recordsIn(checkpointTopic)).toBeLessThanOrEqual(4), PATIENCE);
    expect((await log.loadCheckpoints('group', 0)).map(String)).toEqual(saved.slice(0, 2));
    expect((await log.loadCheckpoints('other', 0)).map(String)).toEqual(['the only one']);
    await save();
    expect((await log.loadCheckpoints('group', 0)).map(String)).toEqual(saved.slice(0, 2));
  });

  test('many partitions are loaded at once, and a load that waits ends with the log', async () => {
    const warnings: string[] = [];
    const keep = ({ message }: Error) => void warnings.push(message);
    process.on('warning', keep);
    onTestFinished(() => void process.off('warning', keep));
    const partitions = Array.from({ length: 24 }, (_, partition) => partition);
    const log = await open({ checkpointTopic: nameOf('checkpoints'), topics: [topicOf(24)] });
    await Promise.all(partitions.map((p) => log.saveCheckpoint('group', p, Buffer.from(`${p}`))));
    const loaded = await Promise.all(partitions.map((p) => log.loadCheckpoints('group', p)));
    expect(loaded.map((kept) => kept.map(String))).toEqual(partitions.map((p) => [`${p}`]));
    const outcomes = Promise.allSettled(partitions.map((p) => log.loadCheckpoints('group', p)));
    const started = performance.now();
    await log.close();
    const late = (await outcomes).filter((outcome) => outcome.status === 'rejected');
    expect(late.length).toBeGreaterThan(0);
    for (const { reason } of late) expect(reason).toBeInstanceOf(EventLogClosedError);
    expect(performance.now() - started).toBeLessThan(5_000);
    await expect(log.loadCheckpoints('group', 0)).rejects.toThrow(EventLogClosedError);
    await expect(log.saveCheckpoint('group', 0, Buffer.alloc(1))).rejects.toThrow(EventLogClosedError);
    expect(warnings).toEqual([]);
  });
});

function nameOf(what: string): string {
  return `${what}-${randomUUID()}`;
}

function topicOf(partitions: number) {
  return { name: nameOf('test'), partitions, retentionMs: 3_600_000, maxRecordBytes: 65_536 };
}

async function open(options: Partial<KafkaEventLogOptions>): Promise<EventLog> {
  const log = await openKafkaEventLog({ ...connection, topics: [], ...options });
  onTestFinished(() => log.close());
  return log;
}

async function withAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

function resourceOf(topic: string) {
  return { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic };
}

async function configOf(admin: Admin, topic: string): Promise<Record<string, string>> {
  const described = await admin.describeConfigs({ includeSynonyms: false, resources: [resourceOf(topic)] });
  const entries = described.resources[0]?.configEntries ?? [];
  return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]));
}

/** Keeps the topic's settings but for how soon a segment is closed, so that it may be compacted. */
async function compactSoon(admin: Admin, topic: string): Promise<void> {
  const kept = await configOf(admin, topic);
  const names = ['cleanup.policy', 'max.message.bytes', 'message.timestamp.type', 'segment.bytes'];
  const soon = { 'segment.ms': '50', 'min.cleanable.dirty.ratio': '0.001' };
  const configEntries = [
    ...names.map((name) => ({ name, value: kept[name] ?? '' })),
    ...Object.entries(soon).map(([name, value]) => ({ name, value })),
  ];
  await admin.alterConfigs({ validateOnly: false, resources: [{ ...resourceOf(topic), configEntries }] });
}

async function recordsIn(topic: string): Promise<number> {
  const client = createKafkaClient(connection, { retries: 0 });
  try {
    const reader = new PartitionReader(client.kafka, topic, 0);
    await reader.connect();
    let records = 0;
    await reader.visit(await reader.earliest(), await reader.end(), () => void records++);
    return records;
  } finally {
    client.destroy();
  }
}
