import { createRequire } from 'node:module';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { encodeProduceRequest, hasBatches, OutgoingBatch } from './produce-request.ts';

const produce = createRequire(import.meta.url)('kafkajs/src/protocol/requests/produce');

const NOW = 1_732_460_000_123;
const HEAD = { acks: -1, timeout: 5_000 };
const key = fc.string({ maxLength: 20 });
const value = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
const records = fc.array(fc.record({ key, value }), { minLength: 1, maxLength: 10 });
const partitions = fc.uniqueArray(fc.record({ partition: fc.nat({ max: 1_000_000 }), records }), {
  selector: ({ partition }) => partition,
  minLength: 1,
  maxLength: 4,
});
const topics = fc.array(fc.record({ topic: fc.string({ minLength: 1 }), partitions }), {
  minLength: 1,
  maxLength: 3,
});
type Planned = typeof topics extends fc.Arbitrary<infer T> ? T : never;

beforeEach(() => void vi.useFakeTimers({ now: NOW, toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

function requestOf(planned: Planned) {
  const topicData = planned.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(({ partition, records }) => ({
      partition,
      messages: [new OutgoingBatch(partition, records)],
    })),
  }));
  return { ...HEAD, topicData };
}

async function encodeByKafkajs(version: number, topicData: readonly unknown[]): Promise<Buffer> {
  const { request } = produce.protocol({ version })({ ...HEAD, topicData });
  const encoder = await request.encode();
  return encoder.buffer;
}

test.each([3, 4, 5, 6, 7])('a produce request v%i is byte for byte what kafkajs writes', async (version) => {
  const property = fc.asyncProperty(topics, async (planned) => {
    const byKafkajs = planned.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition, records }) => ({
        partition,
        messages: records,
        firstSequence: 0,
      })),
    }));
    const ours = encodeProduceRequest(requestOf(planned), NOW);
    expect(ours.equals(await encodeByKafkajs(version, byKafkajs))).toBe(true);
  });
  await fc.assert(property, { numRuns: 30 });
});

const RECORDS = [{ key: 'k', value: Buffer.from('v') }];

test('a partition has to have one batch, its own, of the size that it says', () => {
  const encode = (...messages: unknown[]) => {
    const topicData = [{ topic: 'topic', partitions: [{ partition: 1, messages }] }];
    return encodeProduceRequest({ ...HEAD, topicData }, NOW);
  };
  const batch = new OutgoingBatch(1, RECORDS);
  expect(encode(batch).length).toBe(12 + 2 + 5 + 4 + 8 + batch.sizeBytes);
  expect(() => encode()).toThrow('partition 1: expected one batch of its records');
  expect(() => encode(batch, batch)).toThrow('partition 1: expected one batch of its records');
  expect(() => encode({ value: 'a message' })).toThrow('partition 1: expected one batch of its records');
  expect(() => encode(new OutgoingBatch(2, RECORDS))).toThrow('partition 1: expected one batch');
  expect(() => encode(new OutgoingBatch(1, RECORDS, 100))).toThrow('partition 1: a batch is not of its size');
});

test('a request of messages is told from one of batches', () => {
  const topicData = [{ topic: 'topic', partitions: [{ partition: 1, messages: RECORDS }] }];
  expect(hasBatches({ ...HEAD, topicData })).toBe(false);
  expect(hasBatches(requestOf([{ topic: 'topic', partitions: [{ partition: 1, records: RECORDS }] }]))).toBe(
    true,
  );
});

test('a kafkajs that would write the batch as an empty message fails instead', async () => {
  const { topicData } = requestOf([{ topic: 'topic', partitions: [{ partition: 1, records: RECORDS }] }]);
  await expect(encodeByKafkajs(7, topicData)).rejects.toThrow(
    'kafkajs took a batch of records for a message',
  );
});
