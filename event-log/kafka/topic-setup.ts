import kafkajs, { type Admin, type DescribeConfigResponse } from 'kafkajs';
import type { Logger } from 'pino';
import { TopicMismatchError } from '../errors.ts';
import type { TopicSpec } from '../topics.ts';

/** What a topic's settings on the brokers mean for the writer. */
export interface TopicLimits {
  /** Largest batch of records of one partition that the brokers take, bytes. */
  readonly maxBatchBytes: number;
}

/** A topic and what its records are removed by: their age, or a newer one with the same key. */
export interface TopicPlan extends TopicSpec {
  readonly cleanup: 'delete' | 'compact';
}

/** A record's framing inside a batch and the batch's own header: more than they can need. */
const BATCH_OVERHEAD_BYTES = 128;

const SMALLEST_BATCH_BYTES = 1024 * 1024;
const TIMESTAMP_TYPE = 'message.timestamp.type';
const RETENTION = 'retention.ms';
const MAX_BYTES = 'max.message.bytes';
const CLEANUP = 'cleanup.policy';

/** Without a configured replication factor: three copies, or as many as there are brokers. */
const USUAL_REPLICATION_FACTOR = 3;
const SEGMENT_MS = 3_600_000;

/**
 * Creates the topics that are missing and checks the others. Rejects with `TopicMismatchError` when a topic
 * exists with settings under which the log could not keep its promises.
 */
export async function ensureTopics(
  admin: Admin,
  topics: readonly TopicPlan[],
  replicationFactor: number | undefined,
  logger: Logger,
): Promise<Map<string, TopicLimits>> {
  if (topics.length === 0) return new Map();
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter((topic) => !existing.has(topic.name));
  if (missing.length > 0) {
    const copies = replicationFactor ?? (await usualReplicationFactor(admin));
    // Resolves as well when another process has created them meanwhile; they are checked like the others.
    await admin.createTopics({ topics: missing.map((topic) => creation(topic, copies)) });
    const created = missing.map((topic) => topic.name);
    logger.info({ topics: created, replicationFactor: copies }, 'created Kafka topics');
  }
  return checkTopics(admin, topics, logger);
}

async function usualReplicationFactor(admin: Admin): Promise<number> {
  const { brokers } = await admin.describeCluster();
  return Math.min(USUAL_REPLICATION_FACTOR, brokers.length);
}

function creation(topic: TopicPlan, replicationFactor: number) {
  const config: Record<string, string> = {
    // Kafka deletes by record timestamp: a producer's own clock must not decide what is kept.
    [TIMESTAMP_TYPE]: 'LogAppendTime',
    [MAX_BYTES]: String(neededBatchBytes(topic)),
    [CLEANUP]: topic.cleanup,
    ...(topic.cleanup === 'delete' ? { [RETENTION]: String(topic.retentionMs) } : compaction(topic)),
    // With acks=all this many replicas hold a record before it counts as durable.
    'min.insync.replicas': String(Math.max(1, replicationFactor - 1)),
  };
  return {
    topic: topic.name,
    numPartitions: topic.partitions,
    replicationFactor,
    configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
  };
}

/** The newest segment is never compacted and must hold the largest record: kept no larger, it is closed soon. */
function compaction(topic: TopicPlan): Record<string, string> {
  return {
    'segment.bytes': String(neededBatchBytes(topic)),
    'segment.ms': String(SEGMENT_MS),
    'min.cleanable.dirty.ratio': '0.1',
  };
}

/** Kafka's limit is on a whole batch, so it leaves room for many small records besides one of the largest. */
function neededBatchBytes(topic: TopicPlan): number {
  return Math.max(SMALLEST_BATCH_BYTES, topic.maxRecordBytes + BATCH_OVERHEAD_BYTES);
}

async function checkTopics(
  admin: Admin,
  topics: readonly TopicPlan[],
  logger: Logger,
): Promise<Map<string, TopicLimits>> {
  const names = topics.map((topic) => topic.name);
  const metadata = await admin.fetchTopicMetadata({ topics: names });
  const configs = await admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map((name) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name,
      configNames: [TIMESTAMP_TYPE, RETENTION, MAX_BYTES, CLEANUP],
    })),
  });
  const limits = new Map<string, TopicLimits>();
  for (const topic of topics) {
    const partitions = metadata.topics.find(({ name }) => name === topic.name)?.partitions.length ?? 0;
    checkPartitions(topic, partitions);
    limits.set(topic.name, checkConfig(topic, configOf(configs, topic.name), logger));
  }
  return limits;
}

function configOf(configs: DescribeConfigResponse, topic: string): Map<string, string> {
  const entries = configs.resources.find(({ resourceName }) => resourceName === topic)?.configEntries ?? [];
  return new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
}

function checkPartitions(topic: TopicPlan, seen: number): void {
  if (seen === topic.partitions) return;
  const fix =
    seen < topic.partitions
      ? `configure ${seen}, or add partitions (kafka-topics.sh --alter --topic ${topic.name} --partitions ` +
        `${topic.partitions}; devices then move between partitions, so drain the processors first)`
      : `configure ${seen}, or use another topic prefix: Kafka cannot remove partitions`;
  throw new TopicMismatchError(
    `topic ${topic.name} has ${seen} partitions, ${topic.partitions} are configured: ${fix}`,
  );
}

function checkConfig(topic: TopicPlan, config: ReadonlyMap<string, string>, logger: Logger): TopicLimits {
  const timestampType = config.get(TIMESTAMP_TYPE);
  if (timestampType !== 'LogAppendTime') {
    throw mismatch(topic, TIMESTAMP_TYPE, timestampType, 'LogAppendTime', 'LogAppendTime');
  }
  const maxBatchBytes = Number(config.get(MAX_BYTES));
  const needed = topic.maxRecordBytes + BATCH_OVERHEAD_BYTES;
  if (!(maxBatchBytes >= needed)) {
    throw mismatch(topic, MAX_BYTES, config.get(MAX_BYTES), `at least ${needed}`, String(needed));
  }
  const cleanup = config.get(CLEANUP);
  if (topic.cleanup === 'compact' && cleanup !== 'compact') {
    throw mismatch(topic, CLEANUP, cleanup, 'compact', 'compact');
  }
  const retention = config.get(RETENTION);
  if (topic.cleanup === 'delete' && retention !== String(topic.retentionMs)) {
    logger.warn(
      { topic: topic.name, seen: retention, configured: topic.retentionMs },
      'the topic exists with another retention.ms, which stays in force',
    );
  }
  return { maxBatchBytes };
}

function mismatch(
  topic: TopicPlan,
  setting: string,
  seen: string | undefined,
  expected: string,
  fix: string,
) {
  return new TopicMismatchError(
    `topic ${topic.name} has ${setting}=${seen ?? '(unknown)'}, expected ${expected}: kafka-configs.sh --alter ` +
      `--entity-type topics --entity-name ${topic.name} --add-config ${setting}=${fix}`,
  );
}
