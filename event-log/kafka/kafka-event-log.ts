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
import type { ConsumeOptions, Consumer, EventLog } from '../event-log.ts';
import type { TopicSpec } from '../topics.ts';
import { type ConsumerTiming, DEFAULT_TIMING } from './consumer-session.ts';
import { ControlConnection } from './control-connection.ts';
import { pause } from './deadline.ts';
import type { KafkaConnectionOptions } from './kafka-client.ts';
import { KafkaConsumer } from './kafka-consumer.ts';
import { ensureTopics, type TopicLimits } from './topic-setup.ts';
import { WriterLane } from './writer-lane.ts';

export interface KafkaEventLogOptions {
  /** `host:port` of some brokers; the others are learned from them. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** The topics that may be appended to and consumed; those that are missing are created. */
  readonly topics: readonly TopicSpec[];
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
  const { topics, replicationFactor, logger, brokers, signal } = options;
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

class KafkaEventLog implements EventLog {
  readonly #connection: KafkaConnectionOptions;
  readonly #control: ControlConnection;
  readonly #topics: ReadonlyMap<string, TopicSpec>;
  readonly #lanes: readonly WriterLane[];
  readonly #maxPendingBytes: number;
  readonly #timing: ConsumerTiming;
  readonly #consumers = new Set<KafkaConsumer>();
  #ping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

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
    this.#lanes = Array.from(
      { length: options.lanes ?? DEFAULT_LANES },
      () =>
        new WriterLane({
          connection,
          maxBatchBytes,
          maxPendingBytes: this.#maxPendingBytes,
          appendTimeoutMs: options.appendTimeoutMs ?? DEFAULT_APPEND_TIMEOUT_MS,
          logger: options.logger,
        }),
    );
  }

  partitions(topic: string): number {
    return this.#spec(topic).partitions;
  }

  async append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint> {
    if (this.#closed !== undefined) throw new EventLogClosedError('the event log is closed');
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
      consume: options,
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
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    await this.#control.close();
  }

  async #askForMetadata(): Promise<void> {
    await this.#control.run('a metadata request', PING_DEADLINE_MS, (admin) =>
      admin.fetchTopicMetadata({ topics: [...this.#topics.keys()].slice(0, 1) }),
    );
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
