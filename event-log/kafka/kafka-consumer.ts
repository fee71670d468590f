import { OffsetBeyondEndError, RecordsExpiredError, UnknownPartitionError } from '../errors.ts';
import type { Commit, ConsumeOptions, Consumer } from '../event-log.ts';
import { Assignment, OwnedPartition } from './assignment.ts';
import { ConsumerSession, type ConsumerTiming } from './consumer-session.ts';
import type { ControlConnection } from './control-connection.ts';
import { pause, REQUEST_TIMEOUT_MS } from './deadline.ts';
import { deleteGroup } from './group-deletion.ts';
import type { KafkaConnectionOptions } from './kafka-client.ts';
import { type PartitionBounds, readBounds } from './topic-offsets.ts';

export interface KafkaConsumerOptions {
  readonly connection: KafkaConnectionOptions;
  readonly control: ControlConnection;
  readonly consume: ConsumeOptions;
  /** Partitions of the topic. */
  readonly partitions: number;
  readonly timing: ConsumerTiming;
}

const FIRST_RESTART_MS = 200;
const LAST_RESTART_MS = 5_000;

/** A member of a consumer group for as long as it is open: one `ConsumerSession` after another. */
export class KafkaConsumer implements Consumer {
  readonly #options: KafkaConsumerOptions;
  readonly #lifetime = new AbortController();
  /** Per partition, resolves when its latest ownership in this process is over. */
  readonly #handovers = new Map<number, Promise<void>>();
  readonly #done: Promise<void>;
  #session: ConsumerSession | undefined;
  #bounds: Promise<PartitionBounds[]> | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: KafkaConsumerOptions) {
    this.#options = options;
    this.#done = this.#run();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#lifetime.abort();
    await this.#session?.close();
    await this.#done;
    const { control, consume } = this.#options;
    if (consume.isEphemeral === true)
      await deleteGroup(control, consume.group, (error) => this.#report(error));
  }

  async #run(): Promise<void> {
    let restartMs = FIRST_RESTART_MS;
    while (!this.#lifetime.signal.aborted) {
      const session = this.#openSession();
      this.#session = session;
      const reason = await session.run();
      if (this.#lifetime.signal.aborted) return;
      this.#report(reason);
      if (session.hasJoined) restartMs = FIRST_RESTART_MS;
      await pause(restartMs, this.#lifetime.signal);
      restartMs = Math.min(2 * restartMs, LAST_RESTART_MS);
    }
  }

  #openSession(): ConsumerSession {
    const { connection, consume, partitions, timing } = this.#options;
    const session: ConsumerSession = new ConsumerSession({
      connection,
      topic: consume.topic,
      group: consume.group,
      concurrency: partitions,
      timing,
      assign: (assigned) => this.#assign(assigned, session),
      lose: (assignment, reason) => this.#lose(assignment, reason),
      onBatch: (batch) => consume.onBatch(batch),
      onError: (error) => this.#report(error),
    });
    return session;
  }

  #assign(partitions: readonly number[], session: ConsumerSession): Assignment {
    const { consume } = this.#options;
    // Read once per generation and after joining it: before, the earlier owner may still commit.
    let committed: Promise<Map<number, Commit>> | undefined;
    const read = (partition: number): Promise<Commit | undefined> => {
      committed ??= this.#readCommitted();
      const reading = committed;
      return reading.then(
        (positions) => positions.get(partition),
        (error: unknown) => {
          if (committed === reading) committed = undefined;
          throw error;
        },
      );
    };
    const startAt = async (partition: number, chosen: bigint | undefined, position: Commit | undefined) => {
      if (chosen === undefined && !session.hasSought(partition)) return undefined;
      const start = await this.#possibleStart(partition, chosen ?? position?.offset);
      session.seek(partition, start);
      return start;
    };
    const callbacks = {
      startAt,
      onAssigned: (partition: number, position: Commit | undefined) =>
        consume.onAssigned(partition, position),
      onRevoked: (partition: number) => consume.onRevoked(partition),
      onError: (error: unknown) => this.#report(error),
    };
    const owned = partitions.map((partition) => {
      const earlier = this.#handovers.get(partition) ?? Promise.resolve();
      return new OwnedPartition(partition, earlier, read, callbacks);
    });
    return new Assignment(owned);
  }

  /** The offset itself where the partition has it, else the nearest one, reported. */
  async #possibleStart(partition: number, offset: bigint | undefined): Promise<bigint> {
    const { topic } = this.#options.consume;
    const { earliest, end } = await this.#boundsOf(partition);
    if (offset === undefined) return earliest;
    if (offset < earliest) {
      this.#report(new RecordsExpiredError(topic, partition, offset, earliest));
      return earliest;
    }
    if (offset > end) this.#report(new OffsetBeyondEndError(topic, partition, offset, end));
    return offset > end ? end : offset;
  }

  /** Partitions that ask at the same time share the answer. */
  async #boundsOf(partition: number): Promise<PartitionBounds> {
    const { control, consume, partitions } = this.#options;
    this.#bounds ??= readBounds(control, consume.topic, partitions).finally(() => {
      this.#bounds = undefined;
    });
    const bounds = (await this.#bounds)[partition];
    if (bounds !== undefined) return bounds;
    throw new UnknownPartitionError(`topic ${consume.topic} has no partition ${partition}`);
  }

  #lose(assignment: Assignment, reason: unknown): void {
    for (const [partition, over] of assignment.lose(reason)) this.#handovers.set(partition, over);
  }

  /** kafkajs' consumer reads committed offsets without their metadata, so they are read a second time. */
  async #readCommitted(): Promise<Map<number, Commit>> {
    const { control, consume } = this.#options;
    const { topic, group } = consume;
    const [offsets] = await control.run('reading committed offsets', REQUEST_TIMEOUT_MS, async (admin) => {
      // A connection that has not loaded metadata finds no coordinator.
      await admin.fetchTopicMetadata({ topics: [topic] });
      return admin.fetchOffsets({ groupId: group, topics: [topic] });
    });
    const positions = new Map<number, Commit>();
    for (const { partition, offset, metadata } of offsets?.partitions ?? []) {
      // Negative: none, or kafkajs' mark that the position was lost and reading starts from the oldest record.
      if (BigInt(offset) >= 0n)
        positions.set(partition, { offset: BigInt(offset), metadata: metadata ?? '' });
    }
    return positions;
  }

  #report(error: unknown): void {
    if (error === undefined) return;
    try {
      this.#options.consume.onError(error instanceof Error ? error : new Error(String(error)));
    } catch {
      // The callback is for logs and counters; there is nowhere left to tell.
    }
  }
}
