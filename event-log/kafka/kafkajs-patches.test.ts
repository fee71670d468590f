import { createRequire } from 'node:module';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { isStaleBatch, patchKafkajs } from './kafkajs-patches.ts';
import { PackedRecords } from './packed-records.ts';
import { encodeProduceRequest, OutgoingBatch } from './produce-request.ts';

const require = createRequire(import.meta.url);
const ConsumerGroup = require('kafkajs/src/consumer/consumerGroup');
const RequestQueue = require('kafkajs/src/network/requestQueue');
const produce = require('kafkajs/src/protocol/requests/produce');
const Decoder = require('kafkajs/src/protocol/decoder');
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0');
const Record = require('kafkajs/src/protocol/recordBatch/record/v0');
const Encoder = require('kafkajs/src/protocol/encoder');
const encodeRequest = require('kafkajs/src/protocol/request');
const packageFile = require('kafkajs/package.json');

const REQUEST_OF_A_BATCH = {
  acks: -1,
  timeout: 1,
  topicData: [
    {
      topic: 'topic',
      partitions: [
        { partition: 3, messages: [new OutgoingBatch(3, [{ key: 'k', value: Buffer.from('v') }])] },
      ],
    },
  ],
};

let fetched: () => Promise<object[]> = async () => [];

beforeAll(() => {
  ConsumerGroup.prototype.fetch = () => fetched();
});

test('another version of kafkajs is refused by name before anything is changed', () => {
  const { version } = packageFile;
  const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;
  packageFile.version = '2.3.0';
  expect(() => patchKafkajs()).toThrow('kafkajs is 2.3.0; its patches are for 2.2.4');
  packageFile.version = version;
  expect(RequestQueue.prototype.scheduleCheckPendingRequests).toBe(schedule);
});

test('a kafkajs whose parts are not where they are expected is refused', () => {
  const { scheduleCheckPendingRequests } = RequestQueue.prototype;
  RequestQueue.prototype.scheduleCheckPendingRequests = undefined;
  expect(() => patchKafkajs()).toThrow('"scheduleCheckPendingRequests" is not a function');
  RequestQueue.prototype.scheduleCheckPendingRequests = scheduleCheckPendingRequests;
});

describe('a patched kafkajs', () => {
  beforeAll(() => patchKafkajs());

  test('arms no timer while no request waits, and one while some do', () => {
    const queue = new RequestQueue({ logger: { debug() {} }, maxInFlightRequests: 1, requestTimeout: 1 });
    queue.fulfillRequest = () => {};
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId).toBeNull();
    queue.inflight.set(1, {});
    queue.pending.push({});
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId).not.toBeNull();
    queue.destroy();
  });

  test('patching again changes nothing', () => {
    const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;
    patchKafkajs();
    expect(RequestQueue.prototype.scheduleCheckPendingRequests).toBe(schedule);
  });

  test.each([3, 4, 5, 6, 7])(
    'hands on each partition’s error code of a produce response v%i',
    async (version) => {
      const partitions = [
        { partition: 0, errorCode: 0, baseOffset: '5' },
        { partition: 1, errorCode: 6, baseOffset: '-1' },
      ];
      const decoded = { topics: [{ topicName: 'topic', partitions }] };
      const { response } = produce.protocol({ version })({ topicData: [] });
      expect(await response.parse(decoded)).toEqual(decoded);
    },
  );

  test.each([3, 4, 5, 6, 7])('writes the batches of a produce request v%i at once', async (version) => {
    const now = 1_732_460_000_123;
    vi.useFakeTimers({ now, toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { request } = produce.protocol({ version })(REQUEST_OF_A_BATCH);
    const encoded = await encodeRequest({ correlationId: 5, clientId: 'client', request });
    const body = encodeProduceRequest(REQUEST_OF_A_BATCH, now);
    const head = new Encoder().writeInt16(0).writeInt16(version).writeInt32(5).writeString('client').buffer;
    const length = new Encoder().writeInt32(head.length + body.length).buffer;
    expect(encoded.buffer).toEqual(Buffer.concat([length, head, body]));
  });

  test('writes a request of messages as before', async () => {
    const topicData = [{ topic: 'topic', partitions: [{ partition: 0, messages: [{ value: 'plain' }] }] }];
    const { request } = produce.protocol({ version: 7 })({ acks: -1, timeout: 1, topicData });
    const encoder = await request.encode();
    expect(encoder.buffer.includes('plain')).toBe(true);
  });

  test.each([0, 1, 2])('refuses to write a batch into a produce request v%i', (version) => {
    expect(() => produce.protocol({ version })(REQUEST_OF_A_BATCH)).toThrow(
      `a produce request of version ${version} carries no record batches`,
    );
  });

  test('a batch is stale once its consumer has joined another generation', async () => {
    const group = Object.assign(Object.create(ConsumerGroup.prototype), { offsetManager: {} });
    const batch = {};
    fetched = async () => [batch];
    expect(await group.fetch(1)).toEqual([batch]);
    expect(isStaleBatch(batch)).toBe(false);
    group.offsetManager = {};
    expect(isStaleBatch(batch)).toBe(true);
  });

  test('a fetch that a rejoin overtook delivers nothing', async () => {
    const group = Object.assign(Object.create(ConsumerGroup.prototype), { offsetManager: {} });
    fetched = async () => {
      group.offsetManager = {};
      return [{}];
    };
    expect(await group.fetch(1)).toEqual([]);
  });

  test('a failed fetch fails as before', async () => {
    const group = Object.assign(Object.create(ConsumerGroup.prototype), { offsetManager: {} });
    fetched = vi.fn().mockRejectedValue(new Error('fetch failed'));
    await expect(group.fetch(1)).rejects.toThrow('fetch failed');
  });

  test('hands on each record batch packed, and unpacks what cannot be', async () => {
    const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages');
    const plain = await RecordBatch({ records: [Record({ value: 'plain' })] });
    const zipped = await RecordBatch({
      compression: 1,
      firstOffset: 1,
      records: [Record({ value: 'zipped' })],
    });
    const both = Buffer.concat([plain.buffer, zipped.buffer, plain.buffer.subarray(0, -1)]);
    const decoder = new Decoder(new Encoder().writeInt32(both.length).buffer);
    decoder.buffer = Buffer.concat([decoder.buffer, both]);
    const [first, second, ...others] = await decodeMessages(decoder);
    expect(first).toBeInstanceOf(PackedRecords);
    expect(second).toMatchObject({ offset: '1', value: Buffer.from('zipped') });
    expect(others).toEqual([]);
  });
});
