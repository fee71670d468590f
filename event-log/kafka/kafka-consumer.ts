import type { Commit, ConsumeOptions, Consumer } from '../event-log.ts';
import { Assignment, OwnedPartition } from './assignment.ts';
import { ConsumerSession, type ConsumerTiming } from './consumer-session.ts';
import type { ControlConnection } from './control-connection.ts';
import { pause, REQUEST_TIMEOUT_MS } from './deadline.ts';
import type { KafkaConnectionOptions } from './kafka-client.ts';

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
    return new ConsumerSession({
      connection,
      topic: consume.topic,
      group: consume.group,
      concurrency: partitions,
      timing,
      assign: (assigned) => this.#assign(assigned),
      lose: (assignment, reason) => this.#lose(assignment, reason),
      onBatch: (batch) => consume.onBatch(batch),
      onError: (error) => this.#report(error),
    });
  }

  #assign(partitions: readonly number[]): Assignment {
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
    const callbacks = {
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
