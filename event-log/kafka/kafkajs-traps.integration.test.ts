import { randomUUID } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import kafkajs, { type Admin } from 'kafkajs';
import { pino } from 'pino';
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { RecordTooLargeError, TopicMismatchError } from '../errors.ts';
import type { ConsumeOptions, Consumer, EventLog } from '../event-log.ts';
import type { TopicSpec } from '../topics.ts';
import { type KafkaEventLogOptions, openKafkaEventLog } from './kafka-event-log.ts';
import { WriterLane } from './writer-lane.ts';

const PATIENCE = { timeout: 30_000, interval: 20 };
const brokers = inject('kafkaBrokers');
const logger = pino({ level: 'silent' });
const connection = { brokers: brokers.split(','), clientId: 'test', logger };

describe.skipIf(brokers === '')('topics on Kafka', () => {
  test('a missing topic is created with log append time, its retention and room for its largest record', async () => {
    const topic = topicOf({ partitions: 3, retentionMs: 7_200_000, maxRecordBytes: 3_000_000 });
    await open([topic]);
    const config = await withAdmin((admin) => configOf(admin, topic.name));
    expect(config).toMatchObject({
      'message.timestamp.type': 'LogAppendTime',
      'retention.ms': '7200000',
      'max.message.bytes': '3000128',
      'cleanup.policy': 'delete',
    });
  });

  test('logs opened at the same time agree on a missing topic', async () => {
    const topic = topicOf({});
    const logs = await Promise.all([open([topic]), open([topic]), open([topic])]);
    expect(logs.map((log) => log.partitions(topic.name))).toEqual([1, 1, 1]);
  });

  test('another partition count is refused by topic, seen, expected and what to do', async () => {
    const topic = topicOf({ partitions: 2 });
    await open([topic]);
    const more = open([{ ...topic, partitions: 3 }]);
    await expect(more).rejects.toThrow(TopicMismatchError);
    await expect(more).rejects.toThrow(
      new RegExp(`${topic.name} has 2 partitions, 3 are configured: configure 2, or add .*--partitions 3`),
    );
    await expect(open([{ ...topic, partitions: 1 }])).rejects.toThrow(
      /has 2 partitions, 1 are.*cannot remove/,
    );
  });

  test('a topic stamped by its producers is refused: Kafka deletes by record timestamp', async () => {
    const topic = topicOf({});
    await withAdmin((admin) => admin.createTopics({ topics: [{ topic: topic.name }] }));
    const opening = open([topic]);
    await expect(opening).rejects.toThrow(TopicMismatchError);
    await expect(opening).rejects.toThrow(
      /message.timestamp.type=CreateTime, expected LogAppendTime: kafka-configs.sh .*LogAppendTime/,
    );
  });

  test('a topic that takes smaller records than configured is refused', async () => {
    const topic = topicOf({});
    await open([topic]);
    await expect(open([{ ...topic, maxRecordBytes: 2_000_000 }])).rejects.toThrow(
      /max.message.bytes=1048576, expected at least 2000128: kafka-configs.sh .*max.message.bytes=2000128/,
    );
  });
});

describe.skipIf(brokers === '')('the writer on Kafka', () => {
  test('more than one request may hold goes out in several, in order', async () => {
    const topic = topicOf({});
    const log = await open([topic]);
    const values = Array.from({ length: 4_000 }, (_, i) => Buffer.alloc(1_000, `${i};`));
    const offsets = await Promise.all(values.map((value) => log.append(topic.name, 0, 'device', value)));
    expect(offsets).toEqual(values.map((_, i) => BigInt(i)));
    const seen: Buffer[] = [];
    await consume(log, topic.name, {
      onBatch: async ({ records }) => void seen.push(...records.map(({ value }) => Buffer.from(value))),
    });
    await vi.waitFor(() => expect(seen.length).toBe(4_000), PATIENCE);
    expect(Buffer.concat(seen).equals(Buffer.concat(values))).toBe(true);
  });

  test('a record of 20 MiB passes whole, among small ones', async () => {
    const topic = topicOf({ maxRecordBytes: 21 * 1024 * 1024 });
    const log = await open([topic]);
    const large = Buffer.alloc(20 * 1024 * 1024, 'large');
    const values = [Buffer.from('a'), large, Buffer.from('b')];
    await Promise.all(values.map((value) => log.append(topic.name, 0, 'device', value)));
    const seen: Buffer[] = [];
    await consume(log, topic.name, {
      onBatch: async ({ records }) => void seen.push(...records.map(({ value }) => Buffer.from(value))),
    });
    await vi.waitFor(() => expect(seen.length).toBe(3), PATIENCE);
    expect(seen.map((value, i) => value.equals(values[i] ?? Buffer.alloc(0)))).toEqual([true, true, true]);
  });

  test('one request may succeed for one partition and fail for another: each is told its own outcome', async () => {
    const [small, large] = [topicOf({}), topicOf({})];
    const log = await open([small, large]);
    await withAdmin((admin) => setMaxMessageBytes(admin, small.name, 2_000));
    const outcomes = await Promise.allSettled([
      log.append(small.name, 0, 'device', Buffer.alloc(5_000)),
      log.append(large.name, 0, 'device', Buffer.alloc(5_000)),
    ]);
    expect(outcomes[0]).toMatchObject({ status: 'rejected', reason: expect.any(RecordTooLargeError) });
    expect(outcomes[1]).toEqual({ status: 'fulfilled', value: 0n });
    // Stored once: a retry of the whole request would have appended it again.
    expect(await log.append(large.name, 0, 'device', Buffer.alloc(1))).toBe(1n);
  });

  test('small records still pass when the limit of their topic is lowered below a batch of them', async () => {
    const topic = topicOf({});
    const log = await open([topic]);
    await withAdmin((admin) => setMaxMessageBytes(admin, topic.name, 20_000));
    const appended = await Promise.all(
      Array.from({ length: 300 }, () => log.append(topic.name, 0, 'device', Buffer.alloc(1_000))),
    );
    expect(appended).toEqual(appended.map((_, i) => BigInt(i)));
  });

  test('a partition that kafkajs does not know, and drops without a word, is not taken for stored', async () => {
    const topic = topicOf({});
    await open([topic]);
    const lane = new WriterLane({
      connection,
      maxBatchBytes: new Map([[topic.name, 1_000_000]]),
      maxPendingBytes: 1_000_000,
      appendTimeoutMs: 500,
      logger,
    });
    onTestFinished(() => lane.close());
    await expect(lane.append(topic.name, 7, 'device', Buffer.from('x'))).rejects.toMatchObject({
      code: 'EVENT_LOG_UNAVAILABLE',
    });
    expect(await lane.append(topic.name, 0, 'device', Buffer.from('x'))).toBe(0n);
  });
});

describe.skipIf(brokers === '')('the consumer on Kafka', () => {
  test('errors that would stop a kafkajs consumer for good only repeat the batch', async () => {
    const topic = topicOf({});
    const log = await open([topic]);
    const failures = [new TypeError('a'), new RangeError('b'), new SyntaxError('c')];
    const pending = [...failures];
    const errors: Error[] = [];
    const seen: string[] = [];
    await consume(log, topic.name, {
      onBatch: async ({ records }) => {
        const failure = pending.shift();
        if (failure !== undefined) throw failure;
        seen.push(...records.map(({ value }) => value.toString()));
        return undefined;
      },
      onError: (error) => void errors.push(error),
    });
    await log.append(topic.name, 0, 'device', Buffer.from('1'));
    await vi.waitFor(() => expect(seen).toEqual(['1']), PATIENCE);
    await log.append(topic.name, 0, 'device', Buffer.from('2'));
    await vi.waitFor(() => expect(seen).toEqual(['1', '2']), PATIENCE);
    expect(errors.filter((error) => failures.includes(error))).toEqual(failures);
  });

  test('a handler that takes longer than a session keeps its partition, and its commit counts', async () => {
    const topic = topicOf({});
    const log = await open([topic], { consumerTiming: { sessionTimeoutMs: 1_000 } });
    const group = randomUUID();
    let calls = 0;
    let revoked = 0;
    const consumer = await consume(log, topic.name, {
      group,
      onRevoked: () => void revoked++,
      onBatch: async () => {
        calls++;
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        return { offset: 1n, metadata: 'slow' };
      },
    });
    await log.append(topic.name, 0, 'device', Buffer.from('1'));
    await vi.waitFor(async () => expect(await committedBy(group, topic.name)).toEqual(['slow']), PATIENCE);
    expect({ calls, revoked }).toEqual({ calls: 1, revoked: 0 });
    await consumer.close();
  });

  test('a position whose records were deleted resumes at the oldest record left, not at the newest', async () => {
    const topic = topicOf({});
    const log = await open([topic]);
    const group = randomUUID();
    for (let i = 0; i < 10; i++) await log.append(topic.name, 0, 'device', Buffer.from(`${i}`));
    const first = await consume(log, topic.name, {
      group,
      onBatch: async () => ({ offset: 2n, metadata: '' }),
    });
    await vi.waitFor(async () => expect(await committedBy(group, topic.name)).toEqual(['']), PATIENCE);
    await first.close();
    const partitions = [{ partition: 0, offset: '6' }];
    await withAdmin(async (admin) => {
      await admin.fetchTopicMetadata({ topics: [topic.name] });
      await admin.deleteTopicRecords({ topic: topic.name, partitions });
    });
    const seen: string[] = [];
    await consume(log, topic.name, {
      group,
      onBatch: async ({ records }) => void seen.push(...records.map(({ value }) => value.toString())),
    });
    await vi.waitFor(() => expect(seen).toEqual(['6', '7', '8', '9']), PATIENCE);
  });

  test('partitions added to the topic are found and read from their first record', async () => {
    const topic = topicOf({ partitions: 1 });
    const log = await open([topic], { consumerTiming: { metadataMaxAgeMs: 500 } });
    const assigned = new Set<number>();
    const seen: string[] = [];
    await consume(log, topic.name, {
      onAssigned: (partition) => void assigned.add(partition),
      onBatch: async ({ records }) => void seen.push(...records.map(({ value }) => value.toString())),
    });
    await vi.waitFor(() => expect(assigned).toEqual(new Set([0])), PATIENCE);
    await withAdmin((admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: topic.name, count: 2 }] }),
    );
    const wider = await open([{ ...topic, partitions: 2 }]);
    await wider.append(topic.name, 1, 'device', Buffer.from('added'));
    await vi.waitFor(() => expect(seen).toEqual(['added']), PATIENCE);
    expect(assigned).toEqual(new Set([0, 1]));
  });

  test('connections cut in mid-stream cost neither order nor records', async () => {
    const sockets = trackSockets();
    const topic = topicOf({ partitions: 2 });
    const log = await open([topic]);
    const seen: number[][] = [[], []];
    const group = randomUUID();
    const timing = { consumerTiming: { sessionTimeoutMs: 1_500 } };
    for (const member of [await open([topic], timing), await open([topic], timing)]) {
      await consume(member, topic.name, {
        group,
        onBatch: async ({ partition, records }) => {
          seen[partition]?.push(...records.map(({ value }) => Number(value)));
          return { offset: (records.at(-1)?.offset ?? 0n) + 1n, metadata: '' };
        },
      });
    }
    for (let round = 0; round < 40; round++) {
      if (round % 10 === 5) for (const socket of sockets) socket.destroy(new Error('cut'));
      const burst = Array.from({ length: 20 }, (_, i) => round * 20 + i);
      await Promise.all(burst.map((n) => log.append(topic.name, n % 2, 'device', Buffer.from(`${n}`))));
    }
    for (const partition of [0, 1]) {
      const sent = Array.from({ length: 400 }, (_, i) => 2 * i + partition);
      await vi.waitFor(() => expect([...new Set(seen[partition])]).toEqual(sent), PATIENCE);
    }
  });

  test('connections that swallow what is sent are given up after a request, and new ones are made', async () => {
    const sockets = trackSockets();
    const topic = topicOf({});
    const log = await open([topic], { appendTimeoutMs: 20_000 });
    const seen = new Set<string>();
    await consume(log, topic.name, {
      onBatch: async ({ records }) => void records.map(({ value }) => seen.add(value.toString())),
    });
    await log.append(topic.name, 0, 'device', Buffer.from('before'));
    await vi.waitFor(() => expect(seen).toEqual(new Set(['before'])), PATIENCE);
    for (const socket of sockets) socket.write = () => true;
    const appended = log.append(topic.name, 0, 'device', Buffer.from('swallowed'));
    await expect(log.ping()).rejects.toMatchObject({ code: 'EVENT_LOG_UNAVAILABLE' });
    await log.ping();
    await appended;
    await vi.waitFor(() => expect(seen).toEqual(new Set(['before', 'swallowed'])), { timeout: 15_000 });
  });

  test('a consumer closed while it is joining leaves no member behind', async () => {
    const topic = topicOf({});
    const log = await open([topic]);
    for (const delayMs of [0, 5, 10, 15, 20, 25, 30, 40, 60]) {
      const group = randomUUID();
      const consumer = await consume(log, topic.name, { group });
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await consumer.close();
      const members = await withAdmin((admin) => admin.describeGroups([group]));
      expect(members.groups[0]?.members).toEqual([]);
    }
  });
});

function topicOf(spec: Partial<TopicSpec>): TopicSpec {
  return {
    name: `test-${randomUUID()}`,
    partitions: 1,
    retentionMs: 3_600_000,
    maxRecordBytes: 65_536,
    ...spec,
  };
}

async function open(
  topics: readonly TopicSpec[],
  options: Partial<KafkaEventLogOptions> = {},
): Promise<EventLog> {
  const log = await openKafkaEventLog({ ...connection, topics, replicationFactor: 1, ...options });
  onTestFinished(() => log.close());
  return log;
}

async function consume(log: EventLog, topic: string, options: Partial<ConsumeOptions>): Promise<Consumer> {
  const consumer = await log.consume({
    topic,
    group: randomUUID(),
    onAssigned: () => {},
    onRevoked: () => {},
    onBatch: async () => undefined,
    onError: () => {},
    ...options,
  });
  onTestFinished(() => consumer.close());
  return consumer;
}

async function withAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new kafkajs.Kafka({ ...connection, logLevel: kafkajs.logLevel.NOTHING }).admin();
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

async function setMaxMessageBytes(admin: Admin, topic: string, bytes: number): Promise<void> {
  const configEntries = [
    { name: 'max.message.bytes', value: String(bytes) },
    { name: 'message.timestamp.type', value: 'LogAppendTime' },
  ];
  await admin.alterConfigs({ validateOnly: false, resources: [{ ...resourceOf(topic), configEntries }] });
  await vi.waitFor(
    async () => expect(await configOf(admin, topic)).toMatchObject({ 'max.message.bytes': String(bytes) }),
    PATIENCE,
  );
}

/** The metadata that a group has committed, for the partitions where it has. */
async function committedBy(group: string, topic: string): Promise<(string | null)[]> {
  const [offsets] = await withAdmin((admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }));
  const committed = offsets?.partitions.filter(({ offset }) => Number(offset) >= 0) ?? [];
  return committed.map(({ metadata }) => metadata ?? '');
}

function trackSockets(): Set<Socket> {
  const sockets = new Set<Socket>();
  const onSocket = (message: unknown): void => {
    if (typeof message !== 'object' || message === null || !('socket' in message)) return;
    if (message.socket instanceof Socket) sockets.add(message.socket);
  };
  subscribe('net.client.socket', onSocket);
  onTestFinished(() => void unsubscribe('net.client.socket', onSocket));
  return sockets;
}
