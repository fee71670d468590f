import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { withDeadline } from '../deadline.ts';
import {
  EventLogClosedError,
  EventLogFolderError,
  GroupBusyError,
  RecordTooLargeError,
  UnknownPartitionError,
  UnknownTopicError,
} from '../errors.ts';
import type { ConsumeOptions, Consumer, EventLog, PartitionOffsets } from '../event-log.ts';
import { GroupCommit } from '../group-commit.ts';
import type { TopicSpec } from '../topics.ts';
import { AppendCommit } from './append-commit.ts';
import { Checkpoints } from './checkpoints.ts';
import { EmbeddedConsumer } from './embedded-consumer.ts';
import { type FolderLock, lockFolder } from './folder-lock.ts';
import { PROBE_KEY } from './keys.ts';
import { PartitionLog } from './partition-log.ts';
import { Retention } from './retention.ts';
import { Store } from './store.ts';
import { declareTopics } from './stored-topics.ts';

export interface EmbeddedEventLogOptions {
  /** Where the log lives; created when missing. One process owns it at a time. */
  readonly folder: string;
  readonly topics: readonly TopicSpec[];
  /** An append that is not durable after this long is rejected, ms; default 10,000. */
  readonly appendTimeoutMs?: number;
  /** Bound on the records that wait to become durable, bytes; default 64 MiB. */
  readonly maxPendingBytes?: number;
  readonly logger?: Logger;
  /** Log time, ms since the epoch; default `Date.now`. */
  readonly clock?: () => number;
}

const APPEND_TIMEOUT_MS = 10_000;
const MAX_PENDING_BYTES = 64 * 1024 * 1024;
const MAX_COMMIT_RECORDS = 10_000;
const MAX_COMMIT_BYTES = 4 * 1024 * 1024;
const PING_TIMEOUT_MS = 3_000;

/**
 * Opens the event log of a folder. Rejects with `EventLogFolderError` (owned by another process, or unreadable),
 * `TopicMismatchError` or `DamagedBatchError`.
 */
export async function openEmbeddedEventLog(options: EmbeddedEventLogOptions): Promise<EventLog> {
  const folder = resolve(options.folder);
  const lock = await own(folder);
  let store: Store | undefined;
  try {
    store = new Store(folder);
    await declareTopics(store, folder, options.topics);
    return new EmbeddedEventLog(store, lock, options);
  } catch (error) {
    await store?.close();
    await lock.release();
    throw error;
  }
}

async function own(folder: string): Promise<FolderLock> {
  try {
    await mkdir(folder, { recursive: true });
    return await lockFolder(folder);
  } catch (cause) {
    if (cause instanceof EventLogFolderError) throw cause;
    throw new EventLogFolderError(
      `${folder} cannot be used for the event log; name a folder that this user may write`,
      { cause },
    );
  }
}

interface OpenTopic {
  readonly spec: TopicSpec;
  readonly logs: readonly PartitionLog[];
}

class EmbeddedEventLog implements EventLog {
  readonly #topics: ReadonlyMap<string, OpenTopic>;
  readonly #store: Store;
  readonly #lock: FolderLock;
  readonly #appends: GroupCommit;
  readonly #retention: Retention;
  readonly #checkpoints: Checkpoints;
  readonly #consumers = new Map<string, Consumer>();
  #closing: Promise<void> | undefined;
  /** Set when the last handler has ended: handlers append and save until then. */
  #isDrained = false;

  constructor(store: Store, lock: FolderLock, options: EmbeddedEventLogOptions) {
    this.#store = store;
    this.#lock = lock;
    const appendTimeoutMs = options.appendTimeoutMs ?? APPEND_TIMEOUT_MS;
    // Its share of a slow disk besides the appends.
    this.#checkpoints = new Checkpoints(store, 2 * appendTimeoutMs);
    this.#topics = new Map(options.topics.map((spec) => [spec.name, openTopic(store, spec)]));
    const clock = options.clock ?? Date.now;
    const commit = new AppendCommit(store, (topic, partition) => this.#log(topic, partition), clock);
    this.#appends = new GroupCommit({
      commit: (batch) => commit.run(batch),
      maxBatchRecords: MAX_COMMIT_RECORDS,
      maxBatchBytes: MAX_COMMIT_BYTES,
      maxPendingBytes: options.maxPendingBytes ?? MAX_PENDING_BYTES,
      appendTimeoutMs,
    });
    const retained = [...this.#topics.values()].flatMap(({ spec, logs }) =>
      logs.map((log) => ({ log, retentionMs: spec.retentionMs })),
    );
    this.#retention = new Retention(store, retained, clock, options.logger);
  }

  partitions(topic: string): number {
    return this.#topic(topic).logs.length;
  }

  async append(topic: string, partition: number, key: string, value: Buffer): Promise<bigint> {
    const { maxRecordBytes } = this.#topic(topic).spec;
    this.#log(topic, partition);
    const bytes = Buffer.byteLength(key) + value.length;
    if (bytes > maxRecordBytes) {
      throw new RecordTooLargeError(
        `a record of ${bytes} bytes is larger than the ${maxRecordBytes} bytes that ${topic} takes`,
      );
    }
    return this.#appends.append(topic, partition, key, value);
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    this.#refuseWhenClosed();
    const { logs } = this.#topic(options.topic);
    const id = JSON.stringify([options.group, options.topic]);
    if (this.#consumers.has(id)) {
      throw new GroupBusyError(
        `the group ${options.group} already has its consumer on ${options.topic}; the embedded event log takes one at a time`,
      );
    }
    const consumer = new EmbeddedConsumer(this.#store, logs, options, () => this.#consumers.delete(id));
    this.#consumers.set(id, consumer);
    return consumer;
  }

  async offsets(topic: string, logTime: number): Promise<readonly PartitionOffsets[]> {
    this.#refuseWhenDrained();
    return this.#topic(topic).logs.map((log) => ({
      earliest: log.firstOffset(),
      end: log.endOffset,
      atLogTime: log.offsetAt(logTime),
    }));
  }

  async saveCheckpoint(group: string, partition: number, checkpoint: Uint8Array): Promise<void> {
    this.#refuseWhenDrained();
    await this.#checkpoints.save(group, partition, checkpoint);
  }

  async loadCheckpoints(group: string, partition: number): Promise<readonly Buffer[]> {
    this.#refuseWhenDrained();
    return this.#checkpoints.load(group, partition);
  }

  async ping(): Promise<void> {
    this.#refuseWhenClosed();
    const probe = this.#store.write([{ kind: 'put', key: PROBE_KEY, value: Buffer.alloc(1) }], 'growth');
    await withDeadline(probe, PING_TIMEOUT_MS, `the event log was not writable within ${PING_TIMEOUT_MS} ms`);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Handlers may append until they end, so the consumers go first.
    await Promise.all([...this.#consumers.values()].map((consumer) => consumer.close()));
    this.#isDrained = true;
    await this.#appends.close();
    await this.#checkpoints.close();
    await this.#retention.close();
    await this.#store.close();
    await this.#lock.release();
  }

  #refuseWhenClosed(): void {
    if (this.#closing !== undefined) throw new EventLogClosedError('the event log is closed');
  }

  #refuseWhenDrained(): void {
    if (this.#isDrained) throw new EventLogClosedError('the event log is closed');
  }

  #topic(name: string): OpenTopic {
    const topic = this.#topics.get(name);
    if (topic !== undefined) return topic;
    throw new UnknownTopicError(`the event log was not opened with the topic ${name}`);
  }

  #log(topic: string, partition: number): PartitionLog {
    const { logs } = this.#topic(topic);
    const log = logs[partition];
    if (log !== undefined) return log;
    throw new UnknownPartitionError(
      `${topic} has the partitions 0 to ${logs.length - 1} and not ${partition}`,
    );
  }
}

function openTopic(store: Store, spec: TopicSpec): OpenTopic {
  const logs = Array.from(
    { length: spec.partitions },
    (_, partition) => new PartitionLog(store, spec.name, partition),
  );
  return { spec, logs };
}
