import { expect, test } from 'vitest';
import { MAX_SEND_RECORDS, PartitionQueue, queuePerPartition } from './partition-queue.ts';

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
  expect(queues.map((queue) => queue.take(queue.next(1_000_000).length))).toEqual([[0, 3], [1], [2]]);
  expect(queues.every((queue) => queue.isDone)).toBe(true);
});

test('a request takes no more records than kafkajs groups quickly', () => {
  const queue = queueOf(Array.from({ length: 2_500 }, () => 1));
  const requests: number[] = [];
  while (!queue.isDone) requests.push(queue.take(queue.next(10_000_000).length).length);
  expect(requests).toEqual([MAX_SEND_RECORDS, MAX_SEND_RECORDS, 500]);
});

test('a request stays within its bytes, framing included, unless a single record does not', () => {
  const queue = queueOf([400, 400, 400, 5_000, 1]);
  const requests: number[] = [];
  while (!queue.isDone) requests.push(queue.take(queue.next(1_100).length).length);
  expect(requests).toEqual([2, 1, 1, 1]);
});

test('messages carry nothing that costs kafkajs time', () => {
  expect(queueOf([1]).next(1_000)).toEqual([{ key: 'device', value: Buffer.alloc(1), partition: 0 }]);
});

function queueOf(sizes: readonly number[]): PartitionQueue {
  const queue = new PartitionQueue('a', 0);
  for (const [index, bytes] of sizes.entries()) queue.add(append('a', 0, bytes), index);
  return queue;
}
