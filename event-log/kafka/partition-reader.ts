import type { Kafka } from 'kafkajs';
import { KafkajsPatchError } from './kafkajs-patches.ts';
import { type FetchedMessage, visitRecords } from './packed-records.ts';

/** One record as a read of a partition finds it. */
export interface FoundRecord {
  readonly offset: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

interface Fetched {
  readonly responses: readonly { readonly partitions: readonly FetchedPartition[] }[];
}

interface FetchedPartition {
  readonly messages: readonly FetchedMessage[];
}

interface TopicOffsets {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
}

interface Broker {
  fetch(request: object): Promise<Fetched>;
}

/** What kafkajs' producers, consumers and admins are built upon, as far as it is used here. */
interface Cluster {
  connect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Record<string, unknown>;
  findBroker(node: { nodeId: string }): Promise<Broker>;
  fetchTopicsOffset(topics: readonly object[]): Promise<TopicOffsets[]>;
}

const CLUSTER_METHODS = [
  'connect',
  'addTargetTopic',
  'findLeaderForPartitions',
  'findBroker',
  'fetchTopicsOffset',
] as const;
const CREATE_CLUSTER = 'private:Kafka:createCluster';

/** A response holds one batch of records, however large, or several up to this many bytes. */
const FETCH_BYTES = 1024 * 1024;
const FETCH_WAIT_MS = 500;

/**
 * Reads ranges of one partition without a consumer group, which kafkajs' consumers cannot: joining one takes seconds
 * and leaves a trace on the brokers. Never retries; its requests end when the client is destroyed.
 */
export class PartitionReader {
  readonly #cluster: Cluster;
  readonly #topic: string;
  readonly #partition: number;

  /** `connect` comes first. The caller owns the client that `kafka` belongs to. */
  constructor(kafka: Kafka, topic: string, partition: number) {
    this.#cluster = clusterOf(kafka);
    this.#topic = topic;
    this.#partition = partition;
  }

  async connect(): Promise<void> {
    await this.#cluster.connect();
    await this.#cluster.addTargetTopic(this.#topic);
  }

  /** The offset of the oldest record that is kept. */
  earliest(): Promise<bigint> {
    return this.#offset(true);
  }

  /** The offset that the next record would get. */
  end(): Promise<bigint> {
    return this.#offset(false);
  }

  /** Visits the records from an offset up to, and without, another, in order. There may be fewer than offsets. */
  async visit(from: bigint, to: bigint, visit: (record: FoundRecord) => void): Promise<void> {
    let next = from;
    while (next < to) {
      for (const message of await this.#fetch(next)) {
        visitRecords(message, (offset, _, key, value) => {
          // A response begins with the batch that holds the offset, whose first records may lie before it.
          if (offset >= next && offset < to) visit({ offset, key, value });
        });
        // Compaction may have taken a batch's last records.
        const end = BigInt(message.offset) + 1n;
        if (end > next) next = end;
      }
    }
  }

  async #fetch(from: bigint): Promise<FetchedPartition['messages']> {
    const leaders = this.#cluster.findLeaderForPartitions(this.#topic, [this.#partition]);
    const [nodeId] = Object.keys(leaders);
    if (nodeId === undefined)
      throw new Error(`${this.#topic}/${this.#partition} is not known to the brokers`);
    const broker = await this.#cluster.findBroker({ nodeId });
    const partition = { partition: this.#partition, fetchOffset: from.toString(), maxBytes: FETCH_BYTES };
    const { responses } = await broker.fetch({
      maxWaitTime: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      isolationLevel: 0,
      topics: [{ topic: this.#topic, partitions: [partition] }],
    });
    return responses[0]?.partitions[0]?.messages ?? [];
  }

  async #offset(fromBeginning: boolean): Promise<bigint> {
    const partitions = [{ partition: this.#partition }];
    const [found] = await this.#cluster.fetchTopicsOffset([
      { topic: this.#topic, fromBeginning, partitions },
    ]);
    const offset = found?.partitions[0]?.offset;
    if (offset === undefined)
      throw new Error(`${this.#topic}/${this.#partition} is not known to the brokers`);
    return BigInt(offset);
  }
}

function clusterOf(kafka: Kafka): Cluster {
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === CREATE_CLUSTER,
  );
  const create: unknown = symbol === undefined ? undefined : Reflect.get(kafka, symbol);
  if (typeof create !== 'function')
    throw new KafkajsPatchError('kafkajs: there is no function to create a cluster');
  const cluster: unknown = create({ allowAutoTopicCreation: false, metadataMaxAge: 300_000 });
  if (!isCluster(cluster)) throw new KafkajsPatchError('kafkajs: a cluster lacks one of its methods');
  return cluster;
}

function isCluster(value: unknown): value is Cluster {
  if (typeof value !== 'object' || value === null) return false;
  return CLUSTER_METHODS.every((name) => typeof Reflect.get(value, name) === 'function');
}
