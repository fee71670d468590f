import { randomUUID } from 'node:crypto';
import kafkajs, { type Admin } from 'kafkajs';
import { pino } from 'pino';
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import type { Commit, ConsumeOptions, Consumer, EventLog } from '../event-log.ts';
import { type KafkaEventLogOptions, openKafkaEventLog } from './kafka-event-log.ts';

const PATIENCE = { timeout: 45_000, interval: 20 };
const brokers = inject('kafkaBrokers').split(',');

describe.skipIf(brokers[0] === '')('where a consumer on Kafka starts', () => {
  test('a quiet partition is read again from a chosen start before its commit', async () => {
    const { log, topic, group } = await openCommitted();
    const offsets: bigint[] = [];
    await consume(log, topic, group, { onAssigned: () => 6n, onBatch: collect(offsets) });
    await vi.waitFor(() => expect(offsets).toEqual([6n, 7n, 8n, 9n]), PATIENCE);
  });

  test('what was fetched before the start was chosen is not delivered', async () => {
    const { log, topic } = await openCommitted();
    const offsets: bigint[] = [];
    await consume(log, topic, `group-${randomUUID()}`, {
      onAssigned: async () => {
        // All ten records are fetched by now.
        await new Promise((resolve) => setTimeout(resolve, 500));
        return 7n;
      },
      onBatch: collect(offsets),
    });
    await vi.waitFor(() => expect(offsets.length).toBeGreaterThan(0), PATIENCE);
    expect(offsets).toEqual([7n, 8n, 9n]);
  });

  test('a chosen start that was not reached before the group changed is not taken up afterwards', async () => {
    // A fetch from the quiet end takes so long that the group changes before the next one.
    const slow = { maxFetchWaitMs: 3_000, minFetchBytes: 1_000_000, sessionTimeoutMs: 10_000 };
    const { log, topic, group } = await openCommitted(slow);
    const offsets: bigint[] = [];
    const assignments: (bigint | undefined)[] = [];
    await consume(log, topic, group, {
      onAssigned: async (_, committed) => {
        assignments.push(committed?.offset);
        if (assignments.length > 1) return undefined;
        // The first fetch, from the commit, is under way by now.
        await new Promise((resolve) => setTimeout(resolve, 500));
        return 6n;
      },
      onBatch: collect(offsets),
    });
    await vi.waitFor(() => expect(assignments.length).toBe(1), PATIENCE);
    let taken = 0;
    const other = await consume(await open([topic]), topic, group, {
      onAssigned: () => {
        taken++;
        return undefined;
      },
    });
    // Which of the two members gets the partition is not known.
    await vi.waitFor(() => expect(taken + assignments.length).toBe(2), PATIENCE);
    await other.close();
    await vi.waitFor(() => expect(assignments.length).toBeGreaterThan(1), PATIENCE);
    await log.append(topic.name, 0, 'device', Buffer.from('x'));
    await vi.waitFor(() => expect(offsets.length).toBeGreaterThan(0), PATIENCE);
    expect(offsets).toEqual([10n]);
  });

  test('an ephemeral group is unknown to the brokers when its consumer has closed, also without ever joining', async () => {
    const { log, topic } = await openCommitted();
    for (const wait of [true, false]) {
      const group = `ephemeral-${randomUUID()}`;
      const offsets: bigint[] = [];
      const errors: Error[] = [];
      const consumer = await consume(log, topic, group, {
        isEphemeral: true,
        onBatch: collect(offsets),
        onError: (error) => void errors.push(error),
      });
      if (wait) {
        await vi.waitFor(() => expect(offsets.length).toBe(10), PATIENCE);
        await vi.waitFor(async () => expect(await groups()).toContain(group), PATIENCE);
      }
      await consumer.close();
      expect(await groups()).not.toContain(group);
      expect(errors).toEqual([]);
    }
  });
});

/** A topic of one partition with ten records, all of them committed by a group. */
async function openCommitted(consumerTiming: KafkaEventLogOptions['consumerTiming'] = {}) {
  const topic = {
    name: `test-${randomUUID()}`,
    partitions: 1,
    retentionMs: 3_600_000,
    maxRecordBytes: 65_536,
  };
  const group = `group-${randomUUID()}`;
  const log = await open([topic], consumerTiming);
  for (let i = 0; i < 10; i++) await log.append(topic.name, 0, 'device', Buffer.from(`${i}`));
  const other = await open([topic]);
  let commit: Commit | undefined;
  const consumer = await consume(other, topic, group, {
    onBatch: async ({ records }) => {
      commit = { offset: (records.at(-1)?.offset ?? -1n) + 1n, metadata: '' };
      return commit;
    },
  });
  await vi.waitFor(() => expect(commit?.offset).toBe(10n), PATIENCE);
  await consumer.close();
  return { log, topic, group };
}

function collect(offsets: bigint[]): ConsumeOptions['onBatch'] {
  return async ({ records }) => {
    offsets.push(...records.map(({ offset }) => offset));
    return { offset: (records.at(-1)?.offset ?? -1n) + 1n, metadata: '' };
  };
}

async function open(
  topics: KafkaEventLogOptions['topics'],
  consumerTiming: KafkaEventLogOptions['consumerTiming'] = {},
): Promise<EventLog> {
  const log = await openKafkaEventLog({
    brokers,
    clientId: 'test',
    topics,
    consumerTiming: { maxFetchWaitMs: 50, ...consumerTiming },
    logger: pino({ level: 'silent' }),
  });
  onTestFinished(() => log.close());
  return log;
}

async function consume(
  log: EventLog,
  topic: { readonly name: string },
  group: string,
  options: Partial<ConsumeOptions>,
): Promise<Consumer> {
  const consumer = await log.consume({
    topic: topic.name,
    group,
    onAssigned: () => undefined,
    onRevoked: () => {},
    onBatch: async () => undefined,
    onError: () => {},
    ...options,
  });
  onTestFinished(() => consumer.close());
  return consumer;
}

async function groups(): Promise<string[]> {
  return withAdmin(async (admin) => {
    const listed = await admin.listGroups();
    return listed.groups.map(({ groupId }) => groupId);
  });
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
