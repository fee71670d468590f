import { crc32 } from 'node:zlib';
import type { LogRecord } from '../event-log.ts';

/** The stored form of the records that one commit appended to one partition. FORMAT.md draws it byte by byte. */
const VERSION = 1;
const VERSION_AT = 0;
const CRC_AT = 4;
const BASE_OFFSET_AT = 8;
const LOG_TIME_AT = 16;
const COUNT_AT = 24;
const RECORDS_AT = 28;
const LENGTHS_BYTES = 8;

export interface StoredRecord {
  readonly key: string;
  readonly value: Buffer;
}

/** What a stored value starts with. */
export interface BatchHeader {
  readonly baseOffset: bigint;
  readonly logTime: number;
  /** Number of records, at least one. */
  readonly count: number;
}

/** The bytes are not a batch of a known version, or their checksum does not match. */
export class BatchFormatError extends Error {
  override readonly name = 'BatchFormatError';
}

export function encodeBatch(baseOffset: bigint, logTime: number, records: readonly StoredRecord[]): Buffer {
  const keyBytes = records.map(({ key }) => Buffer.byteLength(key));
  let length = RECORDS_AT;
  records.forEach(({ value }, index) => {
    length += LENGTHS_BYTES + (keyBytes[index] ?? 0) + value.length;
  });
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32BE(0, VERSION_AT);
  bytes[VERSION_AT] = VERSION;
  bytes.writeBigUInt64BE(baseOffset, BASE_OFFSET_AT);
  bytes.writeBigUInt64BE(BigInt(logTime), LOG_TIME_AT);
  bytes.writeUInt32BE(records.length, COUNT_AT);
  let at = RECORDS_AT;
  records.forEach(({ key, value }, index) => {
    const keyLength = keyBytes[index] ?? 0;
    at = bytes.writeUInt32BE(keyLength, at);
    at = bytes.writeUInt32BE(value.length, at);
    at += bytes.write(key, at, keyLength, 'utf8');
    at += value.copy(bytes, at);
  });
  bytes.writeUInt32BE(crc32(bytes.subarray(BASE_OFFSET_AT)), CRC_AT);
  return bytes;
}

/** Verifies the bytes and reads the header. Throws `BatchFormatError`. */
export function decodeHeader(bytes: Buffer): BatchHeader {
  if (bytes.length < RECORDS_AT) throw new BatchFormatError(`${bytes.length} bytes are too few for a batch`);
  if (bytes[VERSION_AT] !== VERSION) throw new BatchFormatError(`unknown version ${bytes[VERSION_AT]}`);
  const stored = bytes.readUInt32BE(CRC_AT);
  const computed = crc32(bytes.subarray(BASE_OFFSET_AT));
  if (stored !== computed) {
    throw new BatchFormatError(`checksum ${hex(computed)} where ${hex(stored)} was stored`);
  }
  return {
    baseOffset: bytes.readBigUInt64BE(BASE_OFFSET_AT),
    logTime: Number(bytes.readBigUInt64BE(LOG_TIME_AT)),
    count: bytes.readUInt32BE(COUNT_AT),
  };
}

/** Reads the records of a verified batch one after the other; keys and values share the memory of `bytes`. */
export class BatchReader {
  readonly #bytes: Buffer;
  readonly #header: BatchHeader;
  #index = 0;
  #at = RECORDS_AT;

  /** Throws `BatchFormatError`. */
  constructor(bytes: Buffer) {
    this.#header = decodeHeader(bytes);
    this.#bytes = bytes;
  }

  /** The offset of the record after the last one. */
  get endOffset(): bigint {
    return this.#header.baseOffset + BigInt(this.#header.count);
  }

  /** The offset of the record that comes next. */
  get nextOffset(): bigint {
    return this.#header.baseOffset + BigInt(this.#index);
  }

  /** Moves to the record of this offset, which must be in the batch and not behind the reader. */
  skipTo(offset: bigint): void {
    const target = Number(offset - this.#header.baseOffset);
    for (; this.#index < target; this.#index++) {
      this.#at += LENGTHS_BYTES + this.#bytes.readUInt32BE(this.#at) + this.#bytes.readUInt32BE(this.#at + 4);
    }
  }

  /** The next record; undefined after the last. */
  next(): LogRecord | undefined {
    if (this.#index >= this.#header.count) return undefined;
    const keyAt = this.#at + LENGTHS_BYTES;
    const valueAt = keyAt + this.#bytes.readUInt32BE(this.#at);
    const end = valueAt + this.#bytes.readUInt32BE(this.#at + 4);
    const offset = this.nextOffset;
    this.#index++;
    this.#at = end;
    return {
      offset,
      logTime: this.#header.logTime,
      key: this.#bytes.subarray(keyAt, valueAt),
      value: this.#bytes.subarray(valueAt, end),
    };
  }
}

function hex(n: number): string {
  return n.toString(16).padStart(8, '0');
}
