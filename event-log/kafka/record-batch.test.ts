import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackedRecords } from './packed-records.ts';
import { BATCH_HEADER_BYTES, recordBytes, type UnwrittenRecord, writeRecordBatch } from './record-batch.ts';

const require = createRequire(import.meta.url);
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0');
const Record = require('kafkajs/src/protocol/recordBatch/record/v0');
const Decoder = require('kafkajs/src/protocol/decoder');
const unpack = require('kafkajs/src/protocol/recordBatch/v0/decoder');

const NOW = 1_732_460_000_123;
/** The batch's own bytes begin and end somewhere in the target, which held something else before. */
const START = 7;
const AFTER = 5;
const DIRT = 0xa5;

const key = fc.oneof(
  fc.constant(null),
  fc.string({ unit: 'binary' }),
  fc.string({ minLength: 60, maxLength: 70 }),
);
const value = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
const records = fc.array(fc.record({ key, value }), { minLength: 1, maxLength: 150 });

function write(written: readonly UnwrittenRecord[]): Buffer {
  let bytes = BATCH_HEADER_BYTES;
  for (const [place, record] of written.entries()) bytes += recordBytes(record, place);
  const target = Buffer.alloc(START + bytes + AFTER, DIRT);
  expect(writeRecordBatch(target, START, written, NOW)).toBe(START + bytes);
  const untouched = [...target.subarray(0, START), ...target.subarray(START + bytes)];
  expect(untouched).toEqual(new Array(START + AFTER).fill(DIRT));
  return target.subarray(START, START + bytes);
}

/** The same batch, written by kafkajs. */
async function writeByKafkajs(written: readonly UnwrittenRecord[]): Promise<Buffer> {
  const encoder = await RecordBatch({
    firstTimestamp: NOW,
    maxTimestamp: NOW,
    lastOffsetDelta: written.length - 1,
    records: written.map((record, offsetDelta) => Record({ ...record, offsetDelta, timestampDelta: 0 })),
  });
  return encoder.buffer;
}

const bytesOf = (text: string | null) => (text === null ? null : Buffer.from(text));

test('a batch is byte for byte what kafkajs writes', async () => {
  const property = fc.asyncProperty(records, async (written) => {
    expect(write(written).equals(await writeByKafkajs(written))).toBe(true);
  });
  await fc.assert(property);
});

test('kafkajs and the packed records read what was written', async () => {
  const property = fc.asyncProperty(records, async (written) => {
    const batch = write(written);
    const unpacked = await unpack(new Decoder(batch));
    const byKafkajs = unpacked.records.map((record: UnwrittenRecord) => [record.key, record.value]);
    const expected = written.map((record) => [bytesOf(record.key), record.value]);
    expect(byKafkajs).toEqual(expected);
    const visited: unknown[] = [];
    const packed = PackedRecords.of(batch);
    packed?.visit((offset, timestamp, ...read) => visited.push([offset, timestamp, ...read]));
    expect(visited).toEqual(expected.map((read, place) => [BigInt(place), NOW, ...read]));
    expect(packed?.sizeBytes).toBe(batch.length);
  });
  await fc.assert(property);
});

test.each([0, 1, 47, 48, 63, 64, 8_175, 8_191, 8_192, 65_536, 1_048_560, 1_048_576, 20_000_000])(
  'a value of %i bytes is written like kafkajs does, whatever its length takes to tell',
  async (length) => {
    const written = [{ key: 'device', value: Buffer.alloc(length, 'v') }];
    expect(write(written).equals(await writeByKafkajs(written))).toBe(true);
  },
);

test.each([0, 1, 63, 64, 128, 8_192, 40_000])('so is a key of %i bytes', async (length) => {
  const written = [{ key: 'k'.repeat(length), value: Buffer.from('v') }];
  expect(write(written).equals(await writeByKafkajs(written))).toBe(true);
});

test('so are as many records as a commit has, and more', async () => {
  const written = Array.from({ length: 10_000 }, (_, n) => ({
    key: `device-${n}`,
    value: Buffer.from(`${n}`),
  }));
  expect(write(written).equals(await writeByKafkajs(written))).toBe(true);
});
