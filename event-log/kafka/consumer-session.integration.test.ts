import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import type { ConsumeOptions, EventLog, RecordBatch } from '../event-log.ts';
import { Assignment, OwnedPartition } from './assignment.ts';
import { ConsumerSession, type ConsumerTiming, DEFAULT_TIMING } from './consumer-session.ts';
import { openKafkaEventLog } from './kafka-event-log.ts';

const PATIENCE = { timeout: 45_000, interval: 20 };
const STUCK = /the consumer has been stuck/;
const brokers = inject('kafkaBrokers').split(',');
const logger = pino({ level: 'silent' });

describe.skipIf(brokers[0] === '')('a consumer session', () => {
  test('that has ended takes over no partitions in a join that completes afterwards', async () => {
    const { topic, group, log, other } = await openTopic();
    const { held, release } = await holdBatch(other, topic, group);
    const { running, events } = openSession(topic, group, { stuckAfterMs: 6_000 });
    await vi.waitFor(() => expect(events).toContain('assigned'), PATIENCE);
    for (const partition of [0, 1]) await log.append(topic, partition, 'device', Buffer.from('x'));
    await held;
    // The group waits for whoever holds its batch, and the session for the group.
    await join(log, topic, group);
    await vi.waitFor(() => expect(events.at(-1)).toMatch(STUCK), PATIENCE);
    release();
    expect(String(await running)).toMatch(STUCK);
    expect(events.at(-1)).toMatch(STUCK);
  });

  test('is not ended by a handler that outlasts the session timeout while the group rebalances', async () => {
    const { topic, group, log, other } = await openTopic();
    const { events, errors, hold } = openSession(topic, group, {});
    const held = hold();
    await vi.waitFor(() => expect(events).toContain('assigned'), PATIENCE);
    await log.append(topic, 0, 'device', Buffer.from('x'));
    const release = await held;
    await join(other, topic, group);
    await vi.waitFor(() => expect(events.at(-1)).toMatch(/lost/), PATIENCE);
    await new Promise((resolve) => setTimeout(resolve, DEFAULT_TIMING.sessionTimeoutMs + 2_000));
    expect(events.at(-1)).toMatch(/lost.*rebalancing/);
    release();
    await vi.waitFor(() => expect(events.at(-1)).toBe('assigned'), PATIENCE);
    expect(errors).toEqual([]);
  });

  test('does not count the time in which its process was suspended as silence', async () => {
    const { topic, group, log } = await openTopic();
    const { events, hold } = openSession(topic, group, { stuckAfterMs: 1_500 });
    await vi.waitFor(() => expect(events).toContain('assigned'), PATIENCE);
    await log.append(topic, 0, 'device', Buffer.from('first'));
    // To the timers a blocked event loop is what a suspended process is.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
    const held = hold();
    await log.append(topic, 0, 'device', Buffer.from('second'));
    (await held)();
    expect(events).toEqual(['assigned']);
  });
});

/** A topic of two partitions, and the log opened twice. */
async function openTopic() {
  const topic = `test-${randomUUID()}`;
  const topics = [{ name: topic, partitions: 2, retentionMs: 3_600_000, maxRecordBytes: 65_536 }];
  const open = async () => {
    const log = await openKafkaEventLog({ brokers, clientId: 'test', topics, logger });
    onTestFinished(() => log.close());
    return log;
  };
  return { topic, group: `group-${randomUUID()}`, log: await open(), other: await open() };
}

async function join(log: EventLog, topic: string, group: string, options: Partial<ConsumeOptions> = {}) {
  const consumer = await log.consume({
    topic,
    group,
    onAssigned: () => undefined,
    onRevoked: () => {},
    onBatch: async () => undefined,
    onError: () => {},
    ...options,
  });
  onTestFinished(() => consumer.close());
}

/** A member of the group that holds the first batch it gets until it is released, whatever becomes of the partition. */
async function holdBatch(log: EventLog, topic: string, group: string) {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  onTestFinished(release);
  let hold = () => {};
  const held = new Promise<void>((resolve) => {
    hold = resolve;
  });
  let assigned = 0;
  await join(log, topic, group, {
    onAssigned: () => {
      assigned++;
      return undefined;
    },
    onBatch: async () => {
      hold();
      await released;
      return undefined;
    },
  });
  await vi.waitFor(() => expect(assigned).toBe(2), PATIENCE);
  return { held, release };
}

/** A running session whose assignments and losses are written down in order. */
function openSession(topic: string, group: string, timing: Partial<ConsumerTiming>) {
  const events: string[] = [];
  const errors: unknown[] = [];
  let onBatch = (_: RecordBatch) => Promise.resolve();
  const callbacks = {
    startAt: async () => undefined,
    onAssigned: () => undefined,
    onRevoked: () => {},
    onError: (error: unknown) => void errors.push(error),
  };
  const session = new ConsumerSession({
    connection: { brokers, clientId: 'session', logger },
    topic,
    group,
    concurrency: 2,
    timing: { ...DEFAULT_TIMING, ...timing },
    assign: (partitions) => {
      events.push('assigned');
      return new Assignment(
        partitions.map(
          (each) => new OwnedPartition(each, Promise.resolve(), async () => undefined, callbacks),
        ),
      );
    },
    lose: (assignment, reason) => {
      const isNews = assignment.lose(reason).size > 0 || STUCK.test(String(reason));
      if (isNews) events.push(`lost: ${String(reason)}`);
    },
    onBatch: async (batch) => {
      await onBatch(batch);
      return undefined;
    },
    onError: (error) => void errors.push(error),
  });
  /** Resolves when the next batch has come, to what lets it go. */
  const hold = () =>
    new Promise<() => void>((resolve) => {
      onBatch = () =>
        new Promise((letGo) => {
          onBatch = () => Promise.resolve();
          resolve(letGo);
        });
    });
  const running = session.run();
  onTestFinished(async () => {
    await session.close();
    await running;
  });
  return { running, events, errors, hold };
}
