import { crc32c } from './crc32c.ts';

/** A record as it is written. */
export interface UnwrittenRecord {
  readonly key: string | null;
  readonly value: Buffer;
}

// https://kafka.apache.org/documentation/#recordbatch
const LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const FIRST_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const FIRST_SEQUENCE_AT = 53;
const COUNT_AT = 57;
const RECORDS_AT = 61;
const MAGIC = 2;
/** No compression, no transaction, stamped by the producer until the broker stamps it. */
const NO_ATTRIBUTES = 0;
const NO_PRODUCER_ID = -1n;
const NULL_LENGTH = -1;
const LAST_ASCII = 0x7f;

/** What a record batch takes beside its records, bytes. */
export const BATCH_HEADER_BYTES = RECORDS_AT;

/** What a record takes in its batch, bytes; `offsetDelta` is its place in the batch. */
export function recordBytes(record: UnwrittenRecord, offsetDelta: number): number {
  const length = lengthOf(record, offsetDelta);
  return varintBytes(length) + length;
}

/**
 * Writes records of one partition as one of Kafka's record batches of format 2, uncompressed, into `target` from `start` on;
 * returns where it ends, which is `BATCH_HEADER_BYTES` and each record's `recordBytes` further. `timestamp` is ms
 * since the epoch.
 */
export function writeRecordBatch(
  target: Buffer,
  start: number,
  records: readonly UnwrittenRecord[],
  timestamp: number,
): number {
  const writer = new RecordWriter(target, start + RECORDS_AT);
  let offsetDelta = 0;
  for (const record of records) writer.record(record, offsetDelta++);
  const end = writer.at;
  target.writeBigInt64BE(0n, start);
  target.writeInt32BE(end - start - LEADER_EPOCH_AT, start + LENGTH_AT);
  target.writeInt32BE(0, start + LEADER_EPOCH_AT);
  target[start + MAGIC_AT] = MAGIC;
  target.writeInt16BE(NO_ATTRIBUTES, start + ATTRIBUTES_AT);
  target.writeInt32BE(records.length - 1, start + LAST_OFFSET_DELTA_AT);
  target.writeBigInt64BE(BigInt(timestamp), start + FIRST_TIMESTAMP_AT);
  target.writeBigInt64BE(BigInt(timestamp), start + MAX_TIMESTAMP_AT);
  target.writeBigInt64BE(NO_PRODUCER_ID, start + PRODUCER_ID_AT);
  target.writeInt16BE(0, start + PRODUCER_EPOCH_AT);
  target.writeInt32BE(0, start + FIRST_SEQUENCE_AT);
  target.writeInt32BE(records.length, start + COUNT_AT);
  target.writeUInt32BE(crc32c(target, start + ATTRIBUTES_AT, end), start + CRC_AT);
  return end;
}

class RecordWriter {
  readonly #target: Buffer;
  at: number;

  constructor(target: Buffer, at: number) {
    this.#target = target;
    this.at = at;
  }

  record(record: UnwrittenRecord, offsetDelta: number): void {
    const { key, value } = record;
    this.#varint(lengthOf(record, offsetDelta));
    this.#target[this.at++] = NO_ATTRIBUTES;
    // The timestamp is that of the batch.
    this.#varint(0);
    this.#varint(offsetDelta);
    if (key === null) this.#varint(NULL_LENGTH);
    else this.#text(key);
    this.#varint(value.length);
    this.#target.set(value, this.at);
    this.at += value.length;
    // No headers.
    this.#varint(0);
  }

  #text(text: string): void {
    const length = utf8Bytes(text);
    this.#varint(length);
    if (length > text.length) this.#target.write(text, this.at);
    else for (let i = 0; i < length; i++) this.#target[this.at + i] = text.charCodeAt(i);
    this.at += length;
  }

  /** Zigzag: the sign is the last bit. */
  #varint(value: number): void {
    let rest = zigzag(value);
    for (; rest > 0x7f; rest >>>= 7) this.#target[this.at++] = (rest & 0x7f) | 0x80;
    this.#target[this.at++] = rest;
  }
}

/** What a record takes after its length. */
function lengthOf({ key, value }: UnwrittenRecord, offsetDelta: number): number {
  const keyLength = key === null ? 0 : utf8Bytes(key);
  const framing =
    1 +
    varintBytes(0) +
    varintBytes(offsetDelta) +
    varintBytes(key === null ? NULL_LENGTH : keyLength) +
    varintBytes(value.length) +
    varintBytes(0);
  return framing + keyLength + value.length;
}

function varintBytes(value: number): number {
  const bits = 32 - Math.clz32(zigzag(value) | 1);
  return Math.ceil(bits / 7);
}

/** Of integers of 32 bits; unsigned. */
function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

/** Keys are short, and mostly ASCII: a loop is faster than a call into Node. */
function utf8Bytes(text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > LAST_ASCII) return Buffer.byteLength(text);
  }
  return text.length;
}
