/** Visits a record as it was fetched; `timestamp` is ms since the epoch. */
export type VisitRecord = (
  offset: bigint,
  timestamp: number,
  key: Buffer | null,
  value: Buffer | null,
) => void;

/** What kafkajs takes for one message: a message, or `PackedRecords`. */
export interface FetchedMessage {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

// https://kafka.apache.org/documentation/#recordbatch
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const FIRST_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const COUNT_AT = 57;
const RECORDS_AT = 61;
const MAGIC = 2;
const COMPRESSION = 0x07;
const LOG_APPEND_TIME = 0x08;
const CONTROL = 0x20;

/**
 * The records of one of Kafka's record batches, still packed. kafkajs, which spends more on unpacking a record than
 * anything else does with it, takes this for a single message at the offset of the last.
 */
export class PackedRecords implements FetchedMessage {
  readonly offset: string;
  readonly timestamp = '0';
  readonly key = null;
  readonly value = null;
  readonly isControlRecord = false;
  readonly #bytes: Buffer;
  readonly #firstOffset: number;

  private constructor(bytes: Buffer, firstOffset: number) {
    this.#bytes = bytes;
    this.#firstOffset = firstOffset;
    this.offset = String(firstOffset + bytes.readInt32BE(LAST_OFFSET_DELTA_AT));
  }

  /**
   * Packs the record batch at the beginning of `bytes`, which it keeps. Undefined when it is not whole, or has to be
   * unpacked by kafkajs: compressed records, the end of a transaction, another format.
   */
  static of(bytes: Buffer): PackedRecords | undefined {
    if (bytes.length < RECORDS_AT || bytes[MAGIC_AT] !== MAGIC) return undefined;
    const attributes = bytes.readInt16BE(ATTRIBUTES_AT);
    if ((attributes & (COMPRESSION | CONTROL)) !== 0 || bytes.readInt32BE(COUNT_AT) < 0) return undefined;
    const firstOffset = Number(bytes.readBigInt64BE(0));
    const end = LENGTH_AT + 4 + bytes.readInt32BE(LENGTH_AT);
    if (end > bytes.length || !Number.isSafeInteger(firstOffset + 2 ** 31)) return undefined;
    return new PackedRecords(bytes.subarray(0, end), firstOffset);
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  /** Visits the records in order. Their keys and values share memory with what was fetched. */
  visit(visit: VisitRecord): void {
    const bytes = this.#bytes;
    const isAppendTime = (bytes.readInt16BE(ATTRIBUTES_AT) & LOG_APPEND_TIME) !== 0;
    const baseTimestamp = Number(bytes.readBigInt64BE(isAppendTime ? MAX_TIMESTAMP_AT : FIRST_TIMESTAMP_AT));
    const cursor = new Cursor(bytes, RECORDS_AT);
    for (let left = bytes.readInt32BE(COUNT_AT); left > 0; left--) {
      const length = cursor.varint();
      const end = cursor.at + length;
      if (length < 0 || end > bytes.length) throw new Error('Kafka: a record reaches beyond its batch');
      cursor.at++;
      const timestampDelta = cursor.varint();
      const offset = BigInt(this.#firstOffset + cursor.varint());
      const key = cursor.nullable();
      const value = cursor.nullable();
      visit(offset, isAppendTime ? baseTimestamp : baseTimestamp + timestampDelta, key, value);
      cursor.at = end;
    }
  }
}

/** Visits what kafkajs calls a message, however many records it stands for. */
export function visitRecords(message: FetchedMessage, visit: VisitRecord): void {
  if (message instanceof PackedRecords) message.visit(visit);
  else visit(BigInt(message.offset), Number(message.timestamp), message.key, message.value);
}

class Cursor {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** A zigzag integer, exact up to 2^53. */
  varint(): number {
    let byte = this.#bytes[this.at++] ?? 0;
    let unsigned = byte & 0x7f;
    for (let unit = 0x80; byte >= 0x80; unit *= 0x80) {
      byte = this.#bytes[this.at++] ?? 0;
      unsigned += (byte & 0x7f) * unit;
    }
    return unsigned % 2 === 0 ? unsigned / 2 : -(unsigned + 1) / 2;
  }

  /** Bytes after their length, -1 for none. */
  nullable(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    const from = this.at;
    this.at = from + length;
    return this.#bytes.subarray(from, this.at);
  }
}
