import type { RecordMetadata, TopicMessages } from 'kafkajs';
import type { Logger } from 'pino';
import { EventLogError, EventLogUnavailableError } from '../errors.ts';
import { type AppendOutcome, GroupCommit, type PendingAppend } from '../group-commit.ts';
import { messageOf } from './control-connection.ts';
import type { KafkaConnectionOptions } from './kafka-client.ts';
import { type PartitionQueue, queuePerPartition } from './partition-queue.ts';
import { isStaleMetadata, MESSAGE_TOO_LARGE, produceError } from './produce-errors.ts';
import { RenewableProducer } from './renewable-producer.ts';

export interface WriterLaneOptions {
  readonly connection: KafkaConnectionOptions;
  /** Largest batch of one partition that the brokers take, bytes, per topic. */
  readonly maxBatchBytes: ReadonlyMap<string, number>;
  readonly maxPendingBytes: number;
  readonly appendTimeoutMs: number;
  readonly logger: Logger;
}

interface Round {
  readonly sent: { readonly queue: PartitionQueue; readonly count: number }[];
  readonly topicMessages: TopicMessages[];
}

/** Records and bytes of one group commit; larger ones gain nothing and make each append wait longer. */
const MAX_COMMIT_RECORDS = 4_000;
const MAX_COMMIT_BYTES = 4 * 1024 * 1024;
/** Bytes of one partition in one request, however large the topic's limit is. */
const MAX_SEND_BYTES = 1024 * 1024;

/** Appends to the partitions of one lane, one request in flight, so that their order is the order of the calls. */
export class WriterLane {
  readonly #producer: RenewableProducer;
  readonly #commits: GroupCommit;
  readonly #maxBatchBytes: Map<string, number>;
  readonly #logger: Logger;
  /** Partitions whose latest append failed. */
  readonly #failing = new Set<string>();

  constructor(options: WriterLaneOptions) {
    this.#producer = new RenewableProducer(options.connection);
    this.#maxBatchBytes = new Map(options.maxBatchBytes);
    this.#logger = options.logger;
    this.#commits = new GroupCommit({
      commit: (batch) => this.#commit(batch),
      maxBatchRecords: MAX_COMMIT_RECORDS,
      maxBatchBytes: MAX_COMMIT_BYTES,
      maxPendingBytes: options.maxPendingBytes,
      appendTimeoutMs: options.appendTimeoutMs,
    });
  }

  get pendingBytes(): number {
    return this.#commits.pendingBytes;
  }

  append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint> {
    return this.#commits.append(topic, partition, key, value);
  }

  async close(): Promise<void> {
    await this.#commits.close();
    await this.#producer.close();
  }

  /** A partition that fails is out for the rest of the batch: what follows in it must not overtake. */
  async #commit(batch: readonly PendingAppend[]): Promise<AppendOutcome[]> {
    const outcomes = new Array<AppendOutcome>(batch.length);
    let queues = queuePerPartition(batch);
    while (queues.length > 0) {
      const round = this.#nextRound(queues);
      const results = await this.#send(round);
      queues = round.sent
        .filter(({ queue, count }) => this.#settle(queue, count, results, outcomes))
        .map(({ queue }) => queue);
    }
    return outcomes;
  }

  #nextRound(queues: readonly PartitionQueue[]): Round {
    const byTopic = new Map<string, TopicMessages>();
    const sent = queues.map((queue) => {
      const batch = queue.next(Math.min(MAX_SEND_BYTES, this.#maxBatchBytes.get(queue.topic) ?? 0));
      const topicMessages = byTopic.get(queue.topic);
      if (topicMessages === undefined) byTopic.set(queue.topic, { topic: queue.topic, messages: [batch] });
      else topicMessages.messages.push(batch);
      return { queue, count: batch.records.length };
    });
    return { sent, topicMessages: [...byTopic.values()] };
  }

  /** Results by topic and partition, or the error of a request whose outcome is unknown. */
  async #send(round: Round): Promise<Map<string, RecordMetadata> | EventLogError> {
    try {
      const results = await this.#producer.send(round.topicMessages);
      return new Map(results.map((result) => [resultKey(result.topicName, result.partition), result]));
    } catch (cause) {
      const error =
        cause instanceof EventLogError
          ? cause
          : new EventLogUnavailableError(`Kafka did not confirm an append: ${messageOf(cause)}`, { cause });
      return error;
    }
  }

  /** Notes what became of the records sent for one partition; tells whether it has more that may be sent. */
  #settle(
    queue: PartitionQueue,
    count: number,
    results: Map<string, RecordMetadata> | EventLogError,
    outcomes: AppendOutcome[],
  ): boolean {
    const outcome = this.#outcome(queue, count, results);
    if (typeof outcome === 'bigint') {
      let offset = outcome;
      for (const index of queue.take(count)) outcomes[index] = offset++;
      this.#noteSuccess(queue);
      return !queue.isDone;
    }
    this.#noteFailure(queue, outcome);
    // Only those sent are refused for good; the rest stay undecided, which `GroupCommit` retries.
    for (const index of queue.take(count)) outcomes[index] = outcome;
    return false;
  }

  #outcome(
    queue: PartitionQueue,
    count: number,
    results: Map<string, RecordMetadata> | EventLogError,
  ): bigint | EventLogError {
    const { topic, partition } = queue;
    if (results instanceof EventLogError) return results;
    const result = results.get(resultKey(topic, partition));
    if (result === undefined) {
      // kafkajs leaves out partitions that its metadata do not know, without a word.
      this.#producer.renew();
      return new EventLogUnavailableError(`topic ${topic} partition ${partition}: no leader is known`);
    }
    if (result.errorCode === 0 && result.baseOffset !== undefined) return BigInt(result.baseOffset);
    if (isStaleMetadata(result.errorCode)) this.#producer.renew();
    if (result.errorCode === MESSAGE_TOO_LARGE && count > 1) return this.#shrinkBatches(topic);
    return produceError(topic, partition, result.errorCode);
  }

  /** The topic's limit was lowered while the log is open: send less at once before refusing any record. */
  #shrinkBatches(topic: string): EventLogError {
    const limit = Math.floor(Math.min(MAX_SEND_BYTES, this.#maxBatchBytes.get(topic) ?? 0) / 2);
    this.#maxBatchBytes.set(topic, limit);
    return new EventLogUnavailableError(
      `topic ${topic}: batches are too large, sending at most ${limit} bytes`,
    );
  }

  /** One line when the first partition fails, and one when the last works again. */
  #noteFailure({ topic, partition }: PartitionQueue, error: EventLogError): void {
    if (this.#failing.size === 0) this.#logger.warn({ err: error }, 'appending to Kafka fails');
    this.#failing.add(resultKey(topic, partition));
  }

  #noteSuccess({ topic, partition }: PartitionQueue): void {
    if (this.#failing.size === 0 || !this.#failing.delete(resultKey(topic, partition))) return;
    if (this.#failing.size === 0) this.#logger.info('appending to Kafka works again');
  }
}

function resultKey(topic: string, partition: number): string {
  return `${topic}:${partition}`;
}
