import type { Producer, RecordMetadata, TopicMessages } from 'kafkajs';
import {
  ACKS_TIMEOUT_MS,
  CONNECTION_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  settledWithin,
  withDeadline,
} from './deadline.ts';
import { createKafkaClient, type KafkaClient, type KafkaConnectionOptions } from './kafka-client.ts';

const ACKS_FROM_ALL_IN_SYNC_REPLICAS = -1;
const CONNECT_DEADLINE_MS = 2 * CONNECTION_TIMEOUT_MS;
const SEND_DEADLINE_MS = REQUEST_TIMEOUT_MS + 2 * CONNECTION_TIMEOUT_MS;
const DISCONNECT_DEADLINE_MS = 2_000;

interface Connected {
  readonly client: KafkaClient;
  readonly producer: Promise<Producer>;
}

/**
 * A kafkajs producer that never retries by itself (its retries lose records when a batch spans brokers) and is
 * thrown away, sockets and all, when it may be in a state that does not heal: after a failed or late request
 * (kafkajs goes on using the dead connection), and when its metadata are stale.
 */
export class RenewableProducer {
  readonly #options: KafkaConnectionOptions;
  #connected: Connected | undefined;

  constructor(options: KafkaConnectionOptions) {
    this.#options = options;
  }

  /** Sends once; partitions that failed are told by `errorCode`, those of unknown partitions are missing. */
  async send(topicMessages: TopicMessages[]): Promise<RecordMetadata[]> {
    this.#connected ??= this.#connect();
    const connected = this.#connected;
    try {
      const producer = await withDeadline(connected.producer, CONNECT_DEADLINE_MS, 'connecting a producer');
      const sent = producer.sendBatch({
        acks: ACKS_FROM_ALL_IN_SYNC_REPLICAS,
        timeout: ACKS_TIMEOUT_MS,
        topicMessages,
      });
      return await withDeadline(sent, SEND_DEADLINE_MS, 'a produce request');
    } catch (error) {
      this.renew();
      throw error;
    }
  }

  /** The next send uses new connections and new metadata. */
  renew(): void {
    this.#connected?.client.destroy();
    this.#connected = undefined;
  }

  async close(): Promise<void> {
    const connected = this.#connected;
    if (connected === undefined) return;
    this.#connected = undefined;
    // Nothing is in flight any more; the sockets are destroyed either way.
    const disconnecting = connected.producer.then((producer) => producer.disconnect());
    await settledWithin(disconnecting, DISCONNECT_DEADLINE_MS);
    connected.client.destroy();
  }

  #connect(): Connected {
    const client = createKafkaClient(this.#options, { retries: 0 });
    const producer = client.kafka.producer({
      retry: { retries: 0 },
      // With sends that are retried from outside, kafkajs' idempotent producer loses records.
      idempotent: false,
      allowAutoTopicCreation: false,
      createPartitioner:
        () =>
        ({ message }) =>
          message.partition ?? 0,
    });
    const connected = producer.connect().then(() => producer);
    connected.catch(() => {});
    return { client, producer: connected };
  }
}
