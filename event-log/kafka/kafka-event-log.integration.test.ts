import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import kafkajs from 'kafkajs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { describeEventLogContract } from '../event-log.contract.ts';
import type { ConsumeOptions, EventLog } from '../event-log.ts';
import { type KafkaEventLogOptions, openKafkaEventLog } from './kafka-event-log.ts';

const PATIENCE = { timeout: 45_000, interval: 20 };
const DIST = resolve('dist');
const run = promisify(execFile);
const logger = pino({ level: 'silent' });
const unhandled: unknown[] = [];

/** A broker of this file's own, so that it can be killed: same port and data after each start. */
class PrivateKafka {
  readonly #folder: string;
  brokers = '';
  pid = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const { stdout } = await this.#services('start', 'kafka', '--json');
    const { kafka } = JSON.parse(stdout);
    this.brokers = kafka.brokers;
    this.pid = kafka.pid;
  }

  async kill(): Promise<void> {
    await this.#services('stop', 'kafka', '--kill');
  }

  /** The broker keeps its connections but answers nothing until `resume`. */
  async suspend(): Promise<void> {
    process.kill(this.pid, 'SIGSTOP');
    await vi.waitFor(async () => expect(await this.#threadStates()).toEqual(new Set(['T'])), PATIENCE);
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  /** A thread that is running at the time of the signal stops a moment later. */
  async #threadStates(): Promise<Set<string>> {
    const { stdout } = await run('ps', ['-L', '-o', 'state=', '-p', `${this.pid}`]);
    return new Set(stdout.trim().split(/\s+/));
  }

  #services(verb: string, ...args: string[]) {
    const program = join(DIST, 'infra/local/services.js');
    return run(process.execPath, [program, verb, ...args, '--folder', this.#folder], { timeout: 100_000 });
  }
}

describe.skipIf(inject('kafkaBrokers') === '')('Kafka', () => {
  let kafka: PrivateKafka;

  beforeAll(async () => {
    process.on('unhandledRejection', keep);
    kafka = new PrivateKafka(await mkdtemp(join(tmpdir(), 'sluice-kafka-')));
    await kafka.start();
  });
  afterAll(async () => {
    await kafka.remove();
    process.off('unhandledRejection', keep);
    expect(unhandled).toEqual([]);
  });

  const open = async (options: Partial<KafkaEventLogOptions> = {}): Promise<EventLog> => {
    const log = await openKafkaEventLog({
      brokers: [kafka.brokers],
      clientId: 'test',
      topics: [],
      logger,
      ...options,
    });
    onTestFinished(() => log.close());
    return log;
  };

  const sharedCheckpoints = `checkpoints-${randomUUID()}`;
  describeEventLogContract('Kafka', {
    openStorage: async () => ({
      openLog: (options) =>
        openKafkaEventLog({
          ...options,
          brokers: [kafka.brokers],
          clientId: 'contract',
          checkpointTopic: sharedCheckpoints,
          consumerTiming: { sessionTimeoutMs: 2_000, maxFetchWaitMs: 50 },
          logger,
        }),
      makeUnavailable: () => kafka.suspend(),
      makeAvailable: async () => kafka.resume(),
      expire: (topic) => deleteRecords(kafka.brokers, topic),
      cleanUp: async () => {},
    }),
  });

  test('a consumer goes on across a killed and restarted broker; a log being opened meanwhile waits for it', async () => {
    const topic = topicOf(2);
    const checkpointTopic = `checkpoints-${randomUUID()}`;
    const log = await open({ topics: [topic], appendTimeoutMs: 40_000, checkpointTopic });
    const seen: number[][] = [[], []];
    await consume(log, topic.name, {
      onBatch: async ({ partition, records }) => {
        seen[partition]?.push(...records.map(({ value }) => Number(value)));
        return { offset: (records.at(-1)?.offset ?? 0n) + 1n, metadata: '' };
      },
    });
    const acknowledged: number[] = [];
    let stopped = false;
    const load = (async () => {
      for (let i = 0; !stopped; i += 10) {
        const burst = Array.from({ length: 10 }, (_, k) => i + k);
        await Promise.all(burst.map((n) => log.append(topic.name, n % 2, 'device', Buffer.from(`${n}`))));
        acknowledged.push(...burst);
      }
    })();
    await vi.waitFor(() => expect(seen.flat().length).toBeGreaterThan(200), PATIENCE);
    await log.saveCheckpoint('group', 1, Buffer.from('before'));
    await log.saveCheckpoint('group', 1, Buffer.from('the last before'));
    await kafka.kill();
    const opening = open({ topics: [topicOf(1)], startTimeoutMs: 60_000 });
    await expect(open({ startTimeoutMs: 300 })).rejects.toThrow(`Kafka at ${kafka.brokers} was not ready`);
    await expect(open({ signal: AbortSignal.abort() })).rejects.toThrow('cancelled');
    await kafka.start();
    await (await opening).ping();
    const kept = await log.loadCheckpoints('group', 1);
    expect(kept.map(String)).toEqual(['the last before', 'before']);
    const before = acknowledged.length;
    await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(before + 200), PATIENCE);
    stopped = true;
    await load;
    for (const partition of [0, 1]) {
      const wanted = acknowledged.filter((n) => n % 2 === partition);
      await vi.waitFor(() => expect([...new Set(seen[partition])]).toEqual(wanted), PATIENCE);
    }
  });

  test('a closed log keeps its process from ending by nothing', async () => {
    const visitor = spawnVisitor(kafka.brokers, topicOf(1));
    await once(visitor.stdout, 'data');
    const closed = performance.now();
    expect(await once(visitor, 'exit')).toEqual([0, null]);
    expect(performance.now() - closed).toBeLessThan(1_500);
  });

  test('the partitions of a member whose process is stopped are taken over, and its late commit is void', async () => {
    // Enough partitions for each of the three members of the group to own some.
    const topic = topicOf(6);
    const partitions = [0, 1, 2, 3, 4, 5];
    const log = await open({ topics: [topic], consumerTiming: { sessionTimeoutMs: 1_500 } });
    for (const partition of partitions) await log.append(topic.name, partition, 'device', Buffer.from('x'));
    const group = `group-${randomUUID()}`;
    const other = spawnMember(kafka.brokers, topic, group);
    onTestFinished(() => void other.kill('SIGKILL'));
    await once(other.stdout, 'data');
    process.kill(other.pid ?? 0, 'SIGSTOP');

    const committed: (string | undefined)[] = [];
    const seen = new Set<number>();
    await consume(log, topic.name, {
      group,
      onAssigned: (_, commit) => {
        committed.push(commit?.metadata);
        return undefined;
      },
      onBatch: async ({ partition }) => {
        seen.add(partition);
        return { offset: 1n, metadata: 'taken over' };
      },
    });
    await vi.waitFor(() => expect([...seen].toSorted()).toEqual(partitions), PATIENCE);
    process.kill(other.pid ?? 0, 'SIGCONT');
    await once(other.stdout, 'data');
    expect(committed).not.toContain('late');
    const third = await open({ topics: [topic] });
    const after: (string | undefined)[] = [];
    await consume(third, topic.name, {
      group,
      onAssigned: (_, commit) => {
        after.push(commit?.metadata);
        return undefined;
      },
    });
    await vi.waitFor(() => expect(after.length).toBeGreaterThan(0), PATIENCE);
    expect(new Set(after)).toEqual(new Set(['taken over']));
  });
});

/** Removes what is in the topic's partitions. */
async function deleteRecords(brokers: string, topic: string): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: [brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  const partitions = offsets.filter(({ high, low }) => high !== low);
  await admin.deleteTopicRecords({
    topic,
    partitions: partitions.map(({ partition, high }) => ({ partition, offset: high })),
  });
  await admin.disconnect();
}

function keep(reason: unknown): void {
  unhandled.push(reason);
}

function topicOf(partitions: number) {
  return { name: `test-${randomUUID()}`, partitions, retentionMs: 3_600_000, maxRecordBytes: 65_536 };
}

async function consume(log: EventLog, topic: string, options: Partial<ConsumeOptions>): Promise<void> {
  const consumer = await log.consume({
    topic,
    group: `group-${randomUUID()}`,
    onAssigned: () => undefined,
    onRevoked: () => {},
    onBatch: async () => undefined,
    onError: () => {},
    ...options,
  });
  onTestFinished(() => consumer.close());
}

/** Opens a log, consumes from it, and closes it, in a process of its own. */
function spawnVisitor(brokers: string, topic: ReturnType<typeof topicOf>) {
  return spawnProgram(
    `await log.append(topic.name, 0, 'device', Buffer.from('x'));
    await new Promise((resolve) => log.consume({
      topic: topic.name, group, onAssigned() {}, onRevoked() {}, onError() {},
      async onBatch() { resolve(); },
    }));
    await log.close();
    process.stdout.write('closed');`,
    brokers,
    topic,
    randomUUID(),
  );
}

/** A consumer in a process of its own; it holds its first batch until the partition is lost, then commits late. */
function spawnMember(brokers: string, topic: ReturnType<typeof topicOf>, group: string) {
  return spawnProgram(
    `await log.consume({
      topic: topic.name,
      group,
      onAssigned() {},
      onRevoked() {},
      onError() {},
      async onBatch({ signal }) {
        process.stdout.write('holding');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        process.stdout.write('lost');
        return { offset: 1n, metadata: 'late' };
      },
    });`,
    brokers,
    topic,
    group,
  );
}

/** Runs a program that finds an open `log`, its `topic` and a `group`. */
function spawnProgram(body: string, brokers: string, topic: ReturnType<typeof topicOf>, group: string) {
  const program = `
    import { pino } from 'pino';
    import { openKafkaEventLog } from ${JSON.stringify(join(DIST, 'event-log/kafka/kafka-event-log.js'))};
    const [brokers, topic, group] = JSON.parse(process.argv[1]);
    const log = await openKafkaEventLog({
      brokers: [brokers],
      clientId: 'program',
      topics: [topic],
      consumerTiming: { sessionTimeoutMs: 1_500 },
      logger: pino({ level: 'silent' }),
    });
    ${body}`;
  const args = ['--input-type=module', '-e', program, JSON.stringify([brokers, topic, group])];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}
