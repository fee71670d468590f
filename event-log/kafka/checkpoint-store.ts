import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { checkCheckpointSize, MAX_CHECKPOINT_BYTES } from '../checkpoint-limit.ts';
import { EventLogClosedError, EventLogUnavailableError, UnknownPartitionError } from '../errors.ts';
import { messageOf } from './control-connection.ts';
import { pause } from './deadline.ts';
import { createKafkaClient, type KafkaConnectionOptions } from './kafka-client.ts';
import { type FoundRecord, PartitionReader } from './partition-reader.ts';
import type { TopicLimits, TopicPlan } from './topic-setup.ts';
import { WriterLane } from './writer-lane.ts';

export interface CheckpointStoreOptions {
  readonly connection: KafkaConnectionOptions;
  readonly topic: TopicPlan;
  readonly limits: TopicLimits;
  /** A checkpoint that is not durable after this long is rejected, ms. */
  readonly saveTimeoutMs: number;
  readonly logger: Logger;
}

type Slot = 0 | 1;

/** Where the newest checkpoint of a group's partition is. */
interface Newest {
  slot: Slot | undefined;
}

const MAX_KEY_BYTES = 1024;
/** As many as may wait to be written when all partitions are saved at once; they are sent one after the other. */
const MAX_PENDING_BYTES = 8 * MAX_CHECKPOINT_BYTES;
const LOAD_DEADLINE_MS = 10_000;
const LOADS_AT_ONCE = 2;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 1_000;
/** How many offsets from the end are looked at first; then twice as many before them, and so on. */
const FIRST_RANGE = 2n;

/** The topic of checkpoints and how many partitions it needs. */
export function checkpointTopic(name: string, partitions: number): TopicPlan {
  const maxRecordBytes = MAX_CHECKPOINT_BYTES + MAX_KEY_BYTES;
  return { name, partitions, retentionMs: -1, maxRecordBytes, cleanup: 'compact' };
}

/**
 * Checkpoints in a compacted topic. Those of one group and partition alternate between two keys, so that compaction
 * always leaves the newest two. They have connections of their own: a large one delays no append.
 */
export class CheckpointStore {
  readonly #options: CheckpointStoreOptions;
  readonly #lane: WriterLane;
  readonly #loads = pLimit(LOADS_AT_ONCE);
  readonly #loading = new Set<AbortController>();
  #closed = false;
  /** By group and partition, as far as known. */
  readonly #newest = new Map<string, Newest>();

  constructor(options: CheckpointStoreOptions) {
    this.#options = options;
    const { connection, topic, limits, saveTimeoutMs, logger } = options;
    this.#lane = new WriterLane({
      connection,
      maxBatchBytes: new Map([[topic.name, limits.maxBatchBytes]]),
      maxPendingBytes: MAX_PENDING_BYTES,
      appendTimeoutMs: saveTimeoutMs,
      logger,
    });
  }

  async save(group: string, partition: number, checkpoint: Uint8Array): Promise<void> {
    this.#checkPartition(partition);
    checkCheckpointSize(checkpoint);
    const name = nameOf(group, partition);
    if (!this.#newest.has(name)) await this.load(group, partition);
    // Held by reference: when it is forgotten meanwhile, this says nothing about what is known by then.
    const newest = this.#newest.get(name);
    const slot = newest?.slot === 0 ? 1 : 0;
    const value = Buffer.from(checkpoint.buffer, checkpoint.byteOffset, checkpoint.byteLength);
    await this.#lane.append(this.#options.topic.name, partition, keyOf(group, partition, slot), value);
    if (newest !== undefined) newest.slot = slot;
  }

  /** Newest first, at most two. Rejects with `EventLogUnavailableError` after 10 s. */
  async load(group: string, partition: number): Promise<Buffer[]> {
    this.#checkPartition(partition);
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), LOAD_DEADLINE_MS);
    this.#loading.add(deadline);
    try {
      const found = await this.#loads(() => this.#loadUntil(deadline.signal, group, partition));
      this.#newest.set(nameOf(group, partition), { slot: found[0]?.slot });
      return found.map(({ value }) => value);
    } finally {
      clearTimeout(timer);
      this.#loading.delete(deadline);
    }
  }

  /** Another process may save for the partition from here on. */
  forget(group: string, partition: number): void {
    this.#newest.delete(nameOf(group, partition));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const load of this.#loading) load.abort();
    await this.#lane.close();
  }

  async #loadUntil(signal: AbortSignal, group: string, partition: number): Promise<FoundCheckpoint[]> {
    let retryMs = FIRST_RETRY_MS;
    let failure: unknown = new Error('others were being loaded');
    while (!signal.aborted) {
      try {
        return await this.#loadOnce(signal, group, partition);
      } catch (error) {
        failure = error;
      }
      await pause(retryMs, signal);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
    if (this.#closed) throw new EventLogClosedError('the event log is closed');
    throw new EventLogUnavailableError(
      `Kafka: no checkpoint of ${group} could be read within ${LOAD_DEADLINE_MS} ms: ${messageOf(failure)}`,
      { cause: failure },
    );
  }

  async #loadOnce(signal: AbortSignal, group: string, partition: number): Promise<FoundCheckpoint[]> {
    const client = createKafkaClient(this.#options.connection, { retries: 0 });
    const destroy = () => client.destroy();
    signal.addEventListener('abort', destroy, { once: true });
    try {
      const reader = new PartitionReader(client.kafka, this.#options.topic.name, partition);
      await reader.connect();
      return await newestOf(reader, group, partition);
    } finally {
      signal.removeEventListener('abort', destroy);
      client.destroy();
    }
  }

  #checkPartition(partition: number): void {
    const { name, partitions } = this.#options.topic;
    if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return;
    throw new UnknownPartitionError(`topic ${name} has partitions 0 to ${partitions - 1}, not ${partition}`);
  }
}

interface FoundCheckpoint {
  readonly slot: Slot;
  readonly value: Buffer;
}

/** Looks at the last records of the partition first and goes back until it has the newest of either key. */
async function newestOf(
  reader: PartitionReader,
  group: string,
  partition: number,
): Promise<FoundCheckpoint[]> {
  const earliest = await reader.earliest();
  let to = await reader.end();
  const found: FoundCheckpoint[] = [];
  for (let range = FIRST_RANGE; to > earliest && found.length < 2; range *= 2n) {
    let from = to - range;
    if (from < earliest) from = earliest;
    const newest = new Map<Slot, FoundCheckpoint & { readonly offset: bigint }>();
    await reader.visit(from, to, (record) => {
      const slot = slotOf(record, group, partition);
      if (slot === undefined || record.value === null) return;
      newest.set(slot, { slot, value: record.value, offset: record.offset });
    });
    const ordered = [...newest.values()].sort((a, b) => (a.offset < b.offset ? 1 : -1));
    for (const { slot, value } of ordered) {
      if (found[0]?.slot !== slot) found.push({ slot, value });
    }
    to = from;
  }
  return found;
}

function slotOf({ key }: FoundRecord, group: string, partition: number): Slot | undefined {
  const name = key?.toString();
  if (name === keyOf(group, partition, 0)) return 0;
  return name === keyOf(group, partition, 1) ? 1 : undefined;
}

function nameOf(group: string, partition: number): string {
  return `${group}/${partition}`;
}

function keyOf(group: string, partition: number, slot: Slot): string {
  return `${nameOf(group, partition)}/${slot}`;
}
