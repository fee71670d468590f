import type { EachBatchPayload, Consumer as KafkajsConsumer } from 'kafkajs';
import { EventLogUnavailableError } from '../errors.ts';
import type { ConsumeOptions } from '../event-log.ts';
import type { Assignment } from './assignment.ts';
import { deliverBatch, isMembershipError, isRebalancing } from './batch-delivery.ts';
import { CONNECTION_TIMEOUT_MS, REQUEST_TIMEOUT_MS, settledWithin, withDeadline } from './deadline.ts';
import { createKafkaClient, type KafkaClient, type KafkaConnectionOptions } from './kafka-client.ts';
import { fetchedFrom } from './kafkajs-patches.ts';
import { SilenceWatch } from './silence-watch.ts';

/** How a consumer talks to its group and fetches. */
export interface ConsumerTiming {
  /** A member that is not heard of for this long loses its partitions. Brokers allow 6 s and more by default. */
  readonly sessionTimeoutMs: number;
  /** How long members may take to give up their partitions when the group changes. */
  readonly rebalanceTimeoutMs: number;
  /** A consumer that has nothing in hand starts over when it has heard nothing for this long while its process ran. */
  readonly stuckAfterMs: number;
  /** Partitions added to the topic are noticed after this long. */
  readonly metadataMaxAgeMs: number;
  /** A fetch is answered when this much is there, or after the time. */
  readonly minFetchBytes: number;
  readonly maxFetchWaitMs: number;
}

const SETUP_DEADLINE_MS = CONNECTION_TIMEOUT_MS + REQUEST_TIMEOUT_MS;
const REBALANCE_TIMEOUT_MS = 20_000;

export const DEFAULT_TIMING: ConsumerTiming = {
  sessionTimeoutMs: 6_000,
  rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
  stuckAfterMs: REBALANCE_TIMEOUT_MS + SETUP_DEADLINE_MS,
  metadataMaxAgeMs: 30_000,
  minFetchBytes: 64 * 1024,
  maxFetchWaitMs: 200,
};

export interface ConsumerSessionOptions {
  readonly connection: KafkaConnectionOptions;
  readonly topic: string;
  readonly group: string;
  /** Partitions handled at the same time. */
  readonly concurrency: number;
  readonly timing: ConsumerTiming;
  /** Takes over partitions in a new generation; the earlier assignment is lost by then. */
  readonly assign: (partitions: readonly number[]) => Assignment;
  readonly lose: (assignment: Assignment, reason: unknown) => void;
  readonly onBatch: ConsumeOptions['onBatch'];
  readonly onError: (error: unknown) => void;
}

const TICK_MS = 500;
const LEAVE_DEADLINE_MS = 2_000;
const CLOSE_DEADLINE_MS = 10_000;
const JOIN_GRACE_MS = 2_000;
const RETRY = { retries: 5, initialRetryTime: 100, maxRetryTime: 1_000, multiplier: 2, factor: 0.2 };

/**
 * One life of a kafkajs consumer, from connecting to the failure that ends it. Nothing that goes wrong inside
 * kafkajs is repaired there: the session ends, and its owner opens another.
 */
export class ConsumerSession {
  readonly #options: ConsumerSessionOptions;
  readonly #client: KafkaClient;
  readonly #consumer: KafkajsConsumer;
  readonly #ended: Promise<unknown>;
  #end: (reason: unknown) => void = () => {};
  #running: Promise<unknown> = Promise.resolve();
  #assignment: Assignment | undefined;
  readonly #sought = new Set<number>();
  #hasJoined = false;
  #closing = false;
  #over = false;
  #activeHandlers = 0;
  #heartbeating = false;
  #heartbeat: (() => Promise<void>) | undefined;
  #lastHeartbeat = 0;
  readonly #silence = new SilenceWatch(TICK_MS, performance.now());

  constructor(options: ConsumerSessionOptions) {
    this.#options = options;
    // Its own instance: kafkajs shares the committed offsets of a group among the consumers of one `Kafka`.
    this.#client = createKafkaClient(options.connection, RETRY);
    this.#consumer = this.#createConsumer();
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Whether it became a member of the group at any time. */
  get hasJoined(): boolean {
    return this.#hasJoined;
  }

  /** Whether a seek in this partition may wait to be carried out, also of an earlier assignment: kafkajs keeps them. */
  hasSought(partition: number): boolean {
    return this.#sought.has(partition);
  }

  /** The next fetch of the partition starts at an offset; what is under way is stale from now on. */
  seek(partition: number, offset: bigint): void {
    this.#sought.add(partition);
    this.#consumer.seek({ topic: this.#options.topic, partition, offset: offset.toString() });
  }

  /** Consumes until something fails or `close` is called; resolves with the reason, everything freed. */
  async run(): Promise<unknown> {
    this.#listen();
    const ticker = setInterval(() => this.#tick(), TICK_MS);
    let reason: unknown;
    try {
      await withDeadline(this.#consumer.connect(), SETUP_DEADLINE_MS, 'connecting a consumer');
      await withDeadline(this.#subscribe(), SETUP_DEADLINE_MS, 'subscribing');
      if (!this.#closing) this.#startFetching();
      reason = await this.#ended;
    } catch (error) {
      reason = error;
    }
    this.#over = true;
    if (!this.#closing) this.#loseAssignment(reason);
    await this.#disconnect(this.#closing ? CLOSE_DEADLINE_MS : LEAVE_DEADLINE_MS);
    clearInterval(ticker);
    return reason;
  }

  /** Lets the handlers finish, stores what they return and leaves the group; `run` resolves afterwards. */
  async close(): Promise<void> {
    this.#closing = true;
    const handlers = this.#assignment?.close();
    // Before it has joined, kafkajs cannot be stopped: it would join afterwards and linger in the group.
    await settledWithin(this.#running, JOIN_GRACE_MS);
    this.#end(undefined);
    if (handlers !== undefined) await settledWithin(handlers, CLOSE_DEADLINE_MS);
  }

  #createConsumer(): KafkajsConsumer {
    const { group, timing } = this.#options;
    return this.#client.kafka.consumer({
      groupId: group,
      sessionTimeout: timing.sessionTimeoutMs,
      heartbeatInterval: timing.sessionTimeoutMs / 4,
      rebalanceTimeout: timing.rebalanceTimeoutMs,
      metadataMaxAge: timing.metadataMaxAgeMs,
      minBytes: timing.minFetchBytes,
      maxWaitTimeInMs: timing.maxFetchWaitMs,
      readUncommitted: true,
      allowAutoTopicCreation: false,
      // kafkajs restarts after some crashes and not after others; the session's owner does it after all.
      retry: { ...RETRY, restartOnFailure: () => Promise.resolve(false) },
    });
  }

  #subscribe(): Promise<void> {
    // Else an offset that has been deleted would be reset to the newest record, silently.
    return this.#consumer.subscribe({ topics: [this.#options.topic], fromBeginning: true });
  }

  #startFetching(): void {
    this.#running = this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: this.#options.concurrency,
      eachBatch: (payload) => this.#eachBatch(payload),
    });
    this.#running.catch(this.#end);
  }

  #listen(): void {
    const consumer = this.#consumer;
    const { events } = consumer;
    consumer.on(events.GROUP_JOIN, ({ payload }) => {
      this.#joined(payload.memberAssignment[this.#options.topic] ?? []);
    });
    consumer.on(events.REBALANCING, () => this.#loseAssignment(new Error('the group is rebalancing')));
    consumer.on(events.CRASH, ({ payload }) => this.#end(payload.error));
    // kafkajs would go on using the connection, however dead it is.
    consumer.on(events.REQUEST_TIMEOUT, ({ payload }) => {
      this.#end(new EventLogUnavailableError(`Kafka: ${payload.broker} did not answer ${payload.apiName}`));
    });
    consumer.on(events.FETCH, () => this.#sign());
    consumer.on(events.HEARTBEAT, () => this.#heard());
    consumer.on(events.COMMIT_OFFSETS, () => this.#heard());
  }

  #joined(partitions: readonly number[]): void {
    // kafkajs may complete a join that was under way when the session ended.
    if (this.#over) return;
    this.#hasJoined = true;
    this.#heard();
    this.#loseAssignment(new Error('the group has a new generation'));
    if (!this.#closing) this.#assignment = this.#options.assign(partitions);
  }

  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const assignment = this.#assignment;
    const owned = assignment?.partition(payload.batch.partition);
    if (assignment === undefined || owned === undefined) return;
    this.#activeHandlers++;
    this.#heartbeat = () => payload.heartbeat();
    const { onBatch, onError } = this.#options;
    try {
      await owned.run(async () => {
        // Stale: fetched before a seek that is still to be carried out.
        if (payload.isStale() || !(await owned.accepts(fetchedFrom(payload.batch)))) return;
        await deliverBatch({
          payload,
          owned,
          onBatch,
          onError,
          isLost: () => assignment.lost !== undefined,
          onLost: (error) => this.#loseAssignment(error),
        });
      });
    } catch (error) {
      // A TypeError and its like, thrown into kafkajs, would stop the consumer.
      onError(error);
    } finally {
      this.#activeHandlers--;
      this.#sign();
    }
    // Known from a heartbeat of ours: kafkajs has to be told, and joins again.
    const reason = assignment === this.#assignment ? assignment.lost?.reason : undefined;
    if (isMembershipError(reason)) throw reason;
  }

  #loseAssignment(reason: unknown): void {
    if (this.#assignment !== undefined) this.#options.lose(this.#assignment, reason);
  }

  #tick(): void {
    const silent = this.#silence.tick(performance.now());
    if (this.#activeHandlers > 0) this.#sendHeartbeat();
    else if (silent > this.#options.timing.stuckAfterMs) {
      this.#end(
        new EventLogUnavailableError(`Kafka: the consumer has been stuck for ${Math.round(silent)} ms`),
      );
    }
  }

  /** kafkajs sends heartbeats between batches only; while handlers run, this does (no oftener than it would). */
  #sendHeartbeat(): void {
    this.#sign();
    if (performance.now() - this.#lastHeartbeat > this.#options.timing.sessionTimeoutMs) {
      this.#end(new EventLogUnavailableError('Kafka: no heartbeat got through, the partitions are lost'));
      return;
    }
    if (this.#heartbeating || this.#heartbeat === undefined) return;
    this.#heartbeating = true;
    this.#heartbeat()
      .catch((error: unknown) => {
        // The group still counts this member: it may take until the end of the rebalance to come back.
        if (isRebalancing(error)) this.#heard();
        if (isMembershipError(error)) this.#loseAssignment(error);
        else if (!this.#closing) this.#options.onError(error);
      })
      .finally(() => {
        this.#heartbeating = false;
      });
  }

  #heard(): void {
    this.#lastHeartbeat = performance.now();
    this.#sign();
  }

  #sign(): void {
    this.#silence.heard(performance.now());
  }

  async #disconnect(deadlineMs: number): Promise<void> {
    try {
      await withDeadline(this.#consumer.disconnect(), deadlineMs, 'leaving the group');
    } catch (error) {
      if (this.#closing) this.#options.onError(error);
    }
    this.#client.destroy();
  }
}
