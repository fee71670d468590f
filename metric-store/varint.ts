import { UnreadableDistributionError } from './errors.ts';

/** Larger than any encoded sketch: 2 signs x 2,048 buckets x at most 10 bytes, and their heads. */
const SCRATCH_BYTES = 48 * 1024;

/** One encoding is written at a time, and synchronously. */
const scratch = Buffer.alloc(SCRATCH_BYTES);

/** Collects the bytes of one encoding. Only one may be in use at a time. */
export class ByteWriter {
  #length = 1;

  constructor(format: number) {
    scratch[0] = format;
  }

  /** Appends a safe integer >= 0, seven bits a byte, least significant first, the top bit set on all but the last. */
  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      scratch[this.#length++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    scratch[this.#length++] = rest;
  }

  /** A copy of what was written. */
  bytes(): Buffer {
    return Buffer.from(scratch.subarray(0, this.#length));
  }
}

/** Reads the bytes of one encoding. Every method throws `UnreadableDistributionError`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, from: number) {
    this.#bytes = bytes;
    this.#at = from;
  }

  /** The next varint, in its only valid spelling. */
  varint(): number {
    let value = 0;
    let unit = 1;
    for (;;) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new UnreadableDistributionError('truncated');
      value += (byte & 0x7f) * unit;
      if (!Number.isSafeInteger(value)) throw new UnreadableDistributionError('a number beyond 2^53');
      if (byte < 0x80) {
        if (byte === 0 && unit > 1) throw new UnreadableDistributionError('a number with a leading zero');
        return value;
      }
      unit *= 0x80;
    }
  }

  /** Expects the end of the bytes. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw new UnreadableDistributionError(`${left} bytes follow where none belong`);
  }
}
