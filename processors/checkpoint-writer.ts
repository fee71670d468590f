const INITIAL_BYTES = 64 * 1024;
/** The longest thing that is written without asking for room by length. */
const LONGEST_BYTES = 8;
const LATIN1 = 0xff;

/** Collects the bytes of one checkpoint, as FORMAT.md names them. Throws `RangeError` for what the format cannot hold. */
export class CheckpointWriter {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #view = viewOf(this.#bytes);
  #length: number;

  /** Leaves the first `headerBytes` for the caller to fill in. */
  constructor(headerBytes: number) {
    this.#length = headerBytes;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** An integer from 0 to 2^32 - 1. */
  word(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  /** A safe integer >= 0. */
  varint(value: number): void {
    if (!(value >= 0 && Number.isSafeInteger(value)))
      throw new RangeError(`${value} is not an unsigned integer`);
    this.#reserve(LONGEST_BYTES);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** An integer within ±2^52. */
  signed(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  /** A finite number. */
  float64(value: number): void {
    if (!Number.isFinite(value)) throw new RangeError(`${value} is not a number`);
    this.#float64(value);
  }

  #float64(value: number): void {
    this.#reserve(LONGEST_BYTES);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** A time in ms since the epoch, or -Infinity. */
  time(value: number): void {
    if (!Number.isSafeInteger(value) && value !== Number.NEGATIVE_INFINITY) {
      throw new RangeError(`${value} is not a time`);
    }
    this.#float64(value);
  }

  offset(value: bigint): void {
    this.#reserve(LONGEST_BYTES);
    this.#bytes.writeBigUInt64LE(value, this.#length);
    this.#length += 8;
  }

  text(value: string): void {
    const isWide = !isLatin1(value);
    this.varint(value.length * 2 + (isWide ? 1 : 0));
    this.#reserve(value.length * 2);
    this.#length += this.#bytes.write(value, this.#length, isWide ? 'utf16le' : 'latin1');
  }

  block(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A copy of what was written, with the header still to be filled in. */
  bytes(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length));
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isLatin1(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > LATIN1) return false;
  return true;
}
