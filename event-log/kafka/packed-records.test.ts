import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackedRecords, visitRecords } from './packed-records.ts';

const require = createRequire(import.meta.url);
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0');
const Record = require('kafkajs/src/protocol/recordBatch/record/v0');
const Decoder = require('kafkajs/src/protocol/decoder');
const unpack = require('kafkajs/src/protocol/recordBatch/v0/decoder');

const ATTRIBUTES_AT = 21;
const LOG_APPEND_TIME = 0x08;
const CONTROL = 0x20;
const GZIP = 1;

const bytes = fc.option(fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)));
const records = fc.array(
  fc.record({
    timestampDelta: fc.integer({ min: -(2 ** 31), max: 2 ** 31 }),
    gap: fc.nat({ max: 300 }),
    key: bytes,
    value: bytes,
    headers: fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 2 }),
  }),
  { maxLength: 20 },
);
type Planned = typeof records extends fc.Arbitrary<infer T> ? T : never;

async function encode(planned: Planned, firstOffset: bigint, batch: object = {}): Promise<Buffer> {
  let offsetDelta = -1;
  const encoded = planned.map(({ gap, ...record }) => {
    offsetDelta += gap + 1;
    return Record({ ...record, offsetDelta });
  });
  const encoder = await RecordBatch({
    firstOffset,
    firstTimestamp: 1_732_460_000_000,
    maxTimestamp: 1_732_460_000_999,
    lastOffsetDelta: Math.max(0, offsetDelta),
    records: encoded,
    ...batch,
  });
  return encoder.buffer;
}

function visited(messages: readonly Parameters<typeof visitRecords>[0][]): object[] {
  const found: object[] = [];
  for (const message of messages) {
    visitRecords(message, (offset, timestamp, key, value) => found.push({ offset, timestamp, key, value }));
  }
  return found;
}

test('packed records are those that kafkajs unpacks', async () => {
  const property = fc.asyncProperty(
    records,
    fc.bigInt(0n, 2n ** 52n),
    fc.boolean(),
    async (planned, first, isAppend) => {
      const batch = await encode(planned, first);
      if (isAppend) batch.writeInt16BE(LOG_APPEND_TIME, ATTRIBUTES_AT);
      const packed = PackedRecords.of(Buffer.concat([batch, Buffer.from('another batch')]));
      const unpacked = await unpack(new Decoder(batch));
      expect(packed && visited([packed])).toEqual(visited(unpacked.records));
      expect(packed?.sizeBytes).toBe(batch.length);
      if (planned.length > 0) expect(packed?.offset).toBe(unpacked.records.at(-1).offset);
    },
  );
  await fc.assert(property);
});

const ONE: Planned = [
  { timestampDelta: 0, gap: 0, key: Buffer.from('k'), value: Buffer.from('v'), headers: {} },
];

test('what kafkajs has to unpack is not packed', async () => {
  const batch = await encode(ONE, 7n);
  expect(PackedRecords.of(batch.subarray(0, -1))).toBeUndefined();
  expect(PackedRecords.of(batch.subarray(0, 30))).toBeUndefined();
  expect(PackedRecords.of(await encode(ONE, 7n, { compression: GZIP }))).toBeUndefined();
  expect(PackedRecords.of(await encode(ONE, 2n ** 53n - 1n))).toBeUndefined();
  const control = Buffer.from(batch);
  control.writeInt16BE(CONTROL, ATTRIBUTES_AT);
  expect(PackedRecords.of(control)).toBeUndefined();
});

test('a record that reaches beyond its batch is an error', async () => {
  const batch = await encode(ONE, 7n);
  batch[61] = 0x7e;
  const packed = PackedRecords.of(batch);
  expect(() => packed?.visit(() => {})).toThrow('a record reaches beyond its batch');
});

test('a batch that was compacted away ends where it ended', async () => {
  const batch = await encode([], 7n, { lastOffsetDelta: 4 });
  const packed = PackedRecords.of(batch);
  expect(packed?.offset).toBe('11');
  expect(packed && visited([packed])).toEqual([]);
});
