import type { PendingAppend } from '../group-commit.ts';
import { BATCH_OVERHEAD_BYTES, RECORD_OVERHEAD_BYTES } from './topic-setup.ts';

/** More per partition and request cost kafkajs quadratic time. */
export const MAX_SEND_RECORDS = 1_000;

/** A message as kafkajs takes it: no headers and no timestamp, which cost more than the rest together. */
export interface OutgoingMessage {
  readonly key: string;
  readonly value: Buffer;
  readonly partition: number;
}

/** The records of one partition in a batch, sent from the front in as many requests as its limits ask for. */
export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  readonly #messages: OutgoingMessage[] = [];
  readonly #indexes: number[] = [];
  #done = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** `index` is the record's place in the batch. */
  add(append: PendingAppend, index: number): void {
    this.#messages.push({ key: append.key, value: append.value, partition: append.partition });
    this.#indexes.push(index);
  }

  get isDone(): boolean {
    return this.#done === this.#messages.length;
  }

  /** The next messages to send: at least one, at most `MAX_SEND_RECORDS`, and `maxBytes` unless one is larger. */
  next(maxBytes: number): OutgoingMessage[] {
    let bytes = BATCH_OVERHEAD_BYTES;
    let end = this.#done;
    const limit = Math.min(this.#messages.length, this.#done + MAX_SEND_RECORDS);
    while (end < limit) {
      const message = this.#messages[end];
      if (message === undefined) break;
      bytes += Buffer.byteLength(message.key) + message.value.length + RECORD_OVERHEAD_BYTES;
      if (bytes > maxBytes && end > this.#done) break;
      end++;
    }
    return this.#messages.slice(this.#done, end);
  }

  /** Marks the first `count` unsent records as sent; returns their places in the batch. */
  take(count: number): number[] {
    const start = this.#done;
    this.#done += count;
    return this.#indexes.slice(start, this.#done);
  }
}

/** Sorts a batch into one queue per (topic, partition), each in the batch's order. */
export function queuePerPartition(batch: readonly PendingAppend[]): PartitionQueue[] {
  const byTopic = new Map<string, Map<number, PartitionQueue>>();
  const queues: PartitionQueue[] = [];
  for (const [index, append] of batch.entries()) {
    let byPartition = byTopic.get(append.topic);
    if (byPartition === undefined) {
      byPartition = new Map();
      byTopic.set(append.topic, byPartition);
    }
    let queue = byPartition.get(append.partition);
    if (queue === undefined) {
      queue = new PartitionQueue(append.topic, append.partition);
      byPartition.set(append.partition, queue);
      queues.push(queue);
    }
    queue.add(append, index);
  }
  return queues;
}
