import type { PendingAppend } from '../group-commit.ts';
import { OutgoingBatch } from './produce-request.ts';
import { BATCH_HEADER_BYTES, recordBytes } from './record-batch.ts';

/** The records of one partition in a batch, sent from the front in as many requests as its limits ask for. */
export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  readonly #records: PendingAppend[] = [];
  readonly #indexes: number[] = [];
  #done = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** `index` is the record's place in the batch. */
  add(append: PendingAppend, index: number): void {
    this.#records.push(append);
    this.#indexes.push(index);
  }

  get isDone(): boolean {
    return this.#done === this.#records.length;
  }

  /** The next records to send: at least one, and a batch of at most `maxBytes` unless one is larger. */
  next(maxBytes: number): OutgoingBatch {
    const records: PendingAppend[] = [];
    let bytes = BATCH_HEADER_BYTES;
    for (let index = this.#done; index < this.#records.length; index++) {
      const record = this.#records[index];
      if (record === undefined) break;
      const more = recordBytes(record, records.length);
      if (bytes + more > maxBytes && records.length > 0) break;
      bytes += more;
      records.push(record);
    }
    return new OutgoingBatch(this.partition, records, bytes);
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
