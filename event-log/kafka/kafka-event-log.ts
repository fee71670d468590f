import type { ConnectionOptions } from 'node:tls';
import type { SASLOptions } from 'kafkajs';
import type { Logger } from 'pino';
import {
  EventLogClosedError,
  EventLogFullError,
  EventLogUnavailableError,
  RecordTooLargeError,
  TopicMismatchError,
  UnknownPartitionError,
  UnknownTopicError,
} from '../errors.ts';
import type { ConsumeOptions, Consumer, EventLog, PartitionOffsets } from '../event-log.ts';
import type { TopicSpec } from '../topics.ts';
import { CheckpointStore, checkpointTopic } from './checkpoint-store.ts';
import { type ConsumerTiming, DEFAULT_TIMING } from './consumer-session.ts';
import { ControlConnection } from './control-connection.ts';
import { pause } from './deadline.ts';
import type { KafkaConnectionOptions } from './kafka-client.ts';
import { KafkaConsumer } from './kafka-consumer.ts';
import { readOffsets } from './topic-offsets.ts';
import { ensureTopics, type TopicLimits, type TopicPlan } from './topic-setup.ts';
import { WriterLane } from './writer-lane.ts';

export interface KafkaEventLogOptions {
  /** `host:port` of some brokers; the others are learned from them. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** The topics that may be appended to and consumed; those that are missing are created. */
  readonly topics: readonly TopicSpec[];
  /**
   * Where checkpoints are kept: a compacted topic with as many partitions as the largest of `topics`. Without it
   * `saveCheckpoint` and `loadCheckpoints` reject with `UnknownTopicError`.
   */
  readonly checkpointTopic?: string;
  /** Of the topics that are created; 3 unless given, or as many as there are brokers at that moment. */
  readonly replicationFactor?: number;
  readonly ssl?: ConnectionOptions | boolean;
  readonly sasl?: SASLOptions;
  /** An append that is not durable after this long is rejected, ms; 10 s unless given. */
  readonly appendTimeoutMs?: number;
  /** More than this pending: appends are refused. 64 MiB unless given. */
  readonly maxPendingBytes?: number;
  /** Connections that append at the same time, 1 unless given; a partition always uses the same one. */
  readonly lanes?: number;
  /** How long to wait for the brokers and topics when opening, ms; 60 s unless given. */
  readonly startTimeoutMs?: number;
  readonly consumerTiming?: Partial<ConsumerTiming>;
  readonly logger: Logger;
  /** Ends the wait for the brokers early. */
  readonly signal?: AbortSignal;
}

const DEFAULT_APPEND_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_PENDING_BYTES = 64 * 1024 * 1024;
/** More lanes make smaller batches, which cost more CPU and gain no throughput (measured with 12 partitions). */
const DEFAULT_LANES = 1;
const DEFAULT_START_TIMEOUT_MS = 60_000;
const SETUP_ATTEMPT_MS = 20_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;
const PING_DEADLINE_MS = 3_000;

/**
 * Opens the event log on Apache Kafka: waits for the brokers, creates missing topics, checks the others. Rejects
 * with `TopicMismatchError`, or with `EventLogUnavailableError` when that takes longer than `startTimeoutMs`.
 */
export async function openKafkaEventLog(options: KafkaEventLogOptions): Promise<EventLog> {
  const { brokers, clientId, ssl, sasl, logger } = options;
  const connection = { brokers, clientId, ssl, sasl, logger };
  const control = new ControlConnection(connection);
  try {
    const limits = await prepareTopics(control, options);
    return new KafkaEventLog(connection, control, limits, options);
  } catch (error) {
    await control.close();
    throw error;
  }
}

async function prepareTopics(
  control: ControlConnection,
  options: KafkaEventLogOptions,
): Promise<Map<string, TopicLimits>> {
  const { replicationFactor, logger, brokers, signal } = options;
  const checkpoints = checkpointPlan(options);
  const topics = [
    ...options.topics.map((topic): TopicPlan => ({ ...topic, cleanup: 'delete' })),
    ...(checkpoints === undefined ? [] : [checkpoints]),
  ];
  const timeoutMs = options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS;
  const deadline = performance.now() + timeoutMs;
  let retryMs = FIRST_RETRY_MS;
  for (;;) {
    const leftMs = Math.max(1, deadline - performance.now());
    try {
      return await control.run('preparing the topics', Math.min(leftMs, SETUP_ATTEMPT_MS), (admin) =>
        ensureTopics(admin, topics, replicationFactor, logger),
      );
    } catch (cause) {
      if (cause instanceof TopicMismatchError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      if (signal?.aborted === true || performance.now() + retryMs >= deadline) {
        const waited = signal?.aborted === true ? 'before the start was cancelled' : `within ${timeoutMs} ms`;
        throw new EventLogUnavailableError(
          `Kafka at ${brokers.join(', ')} was not ready ${waited}: ${reason}`,
          { cause },
        );
      }
      logger.info({ brokers, reason, retryMs }, 'waiting for Kafka');
    }
    await pause(retryMs, signal);
    retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
  }
}

function checkpointPlan({ checkpointTopic: name, topics }: KafkaEventLogOptions): TopicPlan | undefined {
  if (name === undefined) return undefined;
  return checkpointTopic(name, Math.max(1, ...topics.map(({ partitions }) => partitions)));
}

class KafkaEventLog implements EventLog {
  readonly #connection: KafkaConnectionOptions;
  readonly #control: ControlConnection;
  readonly #topics: ReadonlyMap<string, TopicSpec>;
  readonly #lanes: readonly WriterLane[];
  readonly #maxPendingBytes: number;
  readonly #timing: ConsumerTiming;
  readonly #checkpoints: CheckpointStore | undefined;
  readonly #consumers = new Set<KafkaConsumer>();
  #ping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  /** Set when the last handler has ended: handlers append and save until then. */
  #isDrained = false;

  constructor(
    connection: KafkaConnectionOptions,
    control: ControlConnection,
    limits: ReadonlyMap<string, TopicLimits>,
    options: KafkaEventLogOptions,
  ) {
    this.#connection = connection;
    this.#control = control;
    this.#topics = new Map(options.topics.map((topic) => [topic.name, topic]));
    this.#maxPendingBytes = options.maxPendingBytes ?? DEFAULT_MAX_PENDING_BYTES;
    this.#timing = { ...DEFAULT_TIMING, ...options.consumerTiming };
    const maxBatchBytes = new Map([...limits].map(([topic, limit]) => [topic, limit.maxBatchBytes]));
    const appendTimeoutMs = options.appendTimeoutMs ?? DEFAULT_APPEND_TIMEOUT_MS;
    this.#checkpoints = openCheckpoints(connection, limits, appendTimeoutMs, options);
    this.#lanes = Array.from(
      { length: options.lanes ?? DEFAULT_LANES },
      () =>
        new WriterLane({
          connection,
          maxBatchBytes,
          maxPendingBytes: this.#maxPendingBytes,
          appendTimeoutMs,
          logger: options.logger,
        }),
    );
  }

  partitions(topic: string): number {
    return this.#spec(topic).partitions;
  }

  async append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint> {
    this.#refuseWhenDrained();
    const spec = this.#spec(topic);
    const lane = this.#lanes[partition % this.#lanes.length];
    if (lane === undefined || !Number.isInteger(partition) || partition < 0 || partition >= spec.partitions) {
      throw new UnknownPartitionError(
        `topic ${topic} has partitions 0 to ${spec.partitions - 1}, not ${partition}`,
      );
    }
    const bytes = Buffer.byteLength(key) + value.length;
    if (bytes > spec.maxRecordBytes) {
      throw new RecordTooLargeError(`${bytes} bytes; topic ${topic} takes ${spec.maxRecordBytes}`);
    }
    this.#checkPending(bytes);
    return lane.append(topic, partition, key, value);
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    if (this.#closed !== undefined) throw new EventLogClosedError('the event log is closed');
    const consumer = new KafkaConsumer({
      connection: this.#connection,
      control: this.#control,
      consume: { ...options, onAssigned: this.#forgetting(options) },
      partitions: this.#spec(options.topic).partitions,
      timing: this.#timing,
    });
    this.#consumers.add(consumer);
    return {
      close: async () => {
        await consumer.close();
        this.#consumers.delete(consumer);
      },
    };
  }

  async offsets(topic: string, logTime: number): Promise<readonly PartitionOffsets[]> {
    this.#refuseWhenDrained();
    return readOffsets(this.#control, topic, this.#spec(topic).partitions, logTime);
  }

  async saveCheckpoint(group: string, partition: number, checkpoint: Uint8Array): Promise<void> {
    this.#refuseWhenDrained();
    await this.#requireCheckpoints().save(group, partition, checkpoint);
  }

  async loadCheckpoints(group: string, partition: number): Promise<readonly Buffer[]> {
    this.#refuseWhenDrained();
    return this.#requireCheckpoints().load(group, partition);
  }

  /** One metadata request on the control connection; calls made while one is under way share it. */
  ping(): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(new EventLogClosedError('the event log is closed'));
    this.#ping ??= this.#askForMetadata().finally(() => {
      this.#ping = undefined;
    });
    return this.#ping;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    this.#isDrained = true;
    await Promise.all([...this.#lanes.map((lane) => lane.close()), this.#checkpoints?.close()]);
    await this.#control.close();
  }

  async #askForMetadata(): Promise<void> {
    await this.#control.run('a metadata request', PING_DEADLINE_MS, (admin) =>
      admin.fetchTopicMetadata({ topics: [...this.#topics.keys()].slice(0, 1) }),
    );
  }

  #refuseWhenDrained(): void {
    if (this.#isDrained) throw new EventLogClosedError('the event log is closed');
  }

  /** Another process may have saved since this one owned the partition last. */
  #forgetting(options: ConsumeOptions): ConsumeOptions['onAssigned'] {
    return (partition, committed) => {
      this.#checkpoints?.forget(options.group, partition);
      return options.onAssigned(partition, committed);
    };
  }

  #requireCheckpoints(): CheckpointStore {
    if (this.#checkpoints !== undefined) return this.#checkpoints;
    throw new UnknownTopicError('the event log was opened without a topic for checkpoints');
  }

  #spec(topic: string): TopicSpec {
    const spec = this.#topics.get(topic);
    if (spec === undefined) throw new UnknownTopicError(`the event log was not opened with topic ${topic}`);
    return spec;
  }

  /** The bound is on the lanes together. */
  #checkPending(bytes: number): void {
    let pending = bytes;
    for (const lane of this.#lanes) pending += lane.pendingBytes;
    if (pending <= this.#maxPendingBytes) return;
    throw new EventLogFullError(
      `${pending - bytes} bytes are waiting to be appended; the bound is ${this.#maxPendingBytes}`,
    );
  }
}

function openCheckpoints(
  connection: KafkaConnectionOptions,
  limitsOfTopics: ReadonlyMap<string, TopicLimits>,
  appendTimeoutMs: number,
  options: KafkaEventLogOptions,
): CheckpointStore | undefined {
  const topic = checkpointPlan(options);
  const limits = topic === undefined ? undefined : limitsOfTopics.get(topic.name);
  if (topic === undefined || limits === undefined) return undefined;
  const { logger } = options;
  return new CheckpointStore({ connection, topic, limits, saveTimeoutMs: 2 * appendTimeoutMs, logger });
}
