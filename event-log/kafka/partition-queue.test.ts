import { expect, test } from 'vitest';
import { PartitionQueue, queuePerPartition } from './partition-queue.ts';
import { encodeProduceRequest } from './produce-request.ts';

const append = (topic: string, partition: number, bytes = 10) => ({
  topic,
  partition,
  key: 'device',
  value: Buffer.alloc(bytes),
});

test('a batch becomes one queue per topic and partition that knows each record’s place', () => {
  const batch = [append('a', 0), append('b', 0), append('a', 1), append('a', 0)];
  const queues = queuePerPartition(batch);
  expect(queues.map(({ topic, partition }) => `${topic}${partition}`)).toEqual(['a0', 'b0', 'a1']);
  expect(queues.map((queue) => queue.take(queue.next(1_000_000).records.length))).toEqual([[0, 3], [1], [2]]);
  expect(queues.every((queue) => queue.isDone)).toBe(true);
});

test('a request stays within its bytes, framing included, unless a single record does not', () => {
  const queue = queueOf([400, 400, 400, 5_000, 1]);
  const requests: number[] = [];
  while (!queue.isDone) requests.push(queue.take(queue.next(1_100).records.length).length);
  expect(requests).toEqual([2, 1, 1, 1]);
});

test('a batch may take its bytes to the last one', () => {
  const { sizeBytes } = queueOf([400, 400]).next(1_000_000);
  expect(queueOf([400, 400]).next(sizeBytes).records.length).toBe(2);
  expect(queueOf([400, 400]).next(sizeBytes - 1).records.length).toBe(1);
});

test('what is left of a queue makes batches of the size they say', () => {
  const queue = queueOf(Array.from({ length: 300 }, (_, bytes) => bytes));
  while (!queue.isDone) {
    const batch = queue.next(10_000);
    const topicData = [{ topic: 'a', partitions: [{ partition: 0, messages: [batch] }] }];
    expect(() => encodeProduceRequest({ acks: -1, timeout: 1, topicData }, 0)).not.toThrow();
    queue.take(batch.records.length);
  }
});

function queueOf(sizes: readonly number[]): PartitionQueue {
  const queue = new PartitionQueue('a', 0);
  for (const [index, bytes] of sizes.entries()) queue.add(append('a', 0, bytes), index);
  return queue;
}
