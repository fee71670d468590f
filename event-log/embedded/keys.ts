/** Keys of the store. FORMAT.md draws them byte by byte. */
const KIND = {
  batch: 0x62,
  commit: 0x63,
  checkpoint: 0x6b,
  format: 0x66,
  floor: 0x6c,
  probe: 0x70,
  topic: 0x74,
} as const;

const OFFSET_BYTES = 8;
const LOG_TIME_BYTES = 8;
const NUMBER_BYTES = 8;
const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/** Where a stored batch lies, as its key tells. */
export interface BatchPosition {
  readonly baseOffset: bigint;
  readonly logTime: number;
}

export const FORMAT_KEY = Buffer.from([KIND.format]);

/** Written by a probe of the disk; its value means nothing. */
export const PROBE_KEY = Buffer.from([KIND.probe]);

export function topicKey(topic: string): Buffer {
  return Buffer.concat([Buffer.from([KIND.topic]), sized(topic)]);
}

export function commitKey(group: string, topic: string, partition: number): Buffer {
  return Buffer.concat([Buffer.from([KIND.commit]), sized(group), sized(topic), u16(partition)]);
}

/** Key of what stays known of a partition when retention has removed its batches. */
export function floorKey(topic: string, partition: number): Buffer {
  return Buffer.concat([Buffer.from([KIND.floor]), sized(topic), u16(partition)]);
}

/** Keys of the stored batches of one partition, in offset order. */
export class BatchKeys {
  readonly #prefix: Buffer;
  /** Below every key of the partition. */
  readonly first: Buffer;
  /** Above every key of the partition. */
  readonly last: Buffer;

  constructor(topic: string, partition: number) {
    this.#prefix = Buffer.concat([Buffer.from([KIND.batch]), sized(topic), u16(partition)]);
    this.first = this.#prefix;
    this.last = this.#key(MAX_U64, MAX_U64);
  }

  of({ baseOffset, logTime }: BatchPosition): Buffer {
    return this.#key(baseOffset, BigInt(logTime));
  }

  /** Above the key of a batch that starts at this offset, below every later one. */
  lastAt(offset: bigint): Buffer {
    return this.#key(offset, MAX_U64);
  }

  positionOf(key: Buffer): BatchPosition {
    const at = this.#prefix.length;
    return {
      baseOffset: key.readBigUInt64BE(at),
      logTime: Number(key.readBigUInt64BE(at + OFFSET_BYTES)),
    };
  }

  #key(offset: bigint, logTime: bigint): Buffer {
    const key = Buffer.allocUnsafe(this.#prefix.length + OFFSET_BYTES + LOG_TIME_BYTES);
    this.#prefix.copy(key);
    key.writeBigUInt64BE(offset, this.#prefix.length);
    key.writeBigUInt64BE(logTime, this.#prefix.length + OFFSET_BYTES);
    return key;
  }
}

/** Keys of the checkpoints of a group's partition, in the order in which they were saved. */
export class CheckpointKeys {
  readonly #prefix: Buffer;
  /** Below every key of the partition. */
  readonly first: Buffer;
  /** Above every key of the partition. */
  readonly last: Buffer;

  constructor(group: string, partition: number) {
    this.#prefix = Buffer.concat([Buffer.from([KIND.checkpoint]), sized(group), u16(partition)]);
    this.first = this.#prefix;
    this.last = this.of(MAX_U64);
  }

  of(number: bigint): Buffer {
    const key = Buffer.allocUnsafe(this.#prefix.length + NUMBER_BYTES);
    this.#prefix.copy(key);
    key.writeBigUInt64BE(number, this.#prefix.length);
    return key;
  }

  numberOf(key: Buffer): bigint {
    return key.readBigUInt64BE(this.#prefix.length);
  }
}

function sized(name: string): Buffer {
  const bytes = Buffer.from(name, 'utf8');
  return Buffer.concat([u16(bytes.length), bytes]);
}

function u16(n: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(n);
  return bytes;
}
