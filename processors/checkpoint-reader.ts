import { CheckpointDamagedError } from './errors.ts';

/**
 * Reads the bytes of one checkpoint, as FORMAT.md names them. Every method throws `CheckpointDamagedError` for what a
 * `CheckpointWriter` cannot have written, and takes no more memory than the bytes that are there account for.
 */
export class CheckpointReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Buffer, from: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = from;
  }

  /** The error for what was read last, to be thrown. */
  damaged(what: string, options?: ErrorOptions): CheckpointDamagedError {
    return new CheckpointDamagedError(this.#at, what, options);
  }

  byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw this.damaged('it ends too early');
    this.#at++;
    return byte;
  }

  word(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A safe integer >= 0, in its only valid spelling. */
  varint(): number {
    const byte = this.byte();
    return byte < 0x80 ? byte : this.#restOfVarint(byte - 0x80);
  }

  #restOfVarint(low: number): number {
    let value = low;
    for (let unit = 0x80; ; unit *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      if (!Number.isSafeInteger(value)) throw this.damaged('a number beyond 2^53');
      if (byte >= 0x80) continue;
      if (byte === 0) throw this.damaged('a number with a leading zero');
      return value;
    }
  }

  signed(): number {
    const value = this.varint();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  /** A varint of at most `most`. `what` names it in the error. */
  upTo(most: number, what: string): number {
    const value = this.varint();
    if (value > most) throw this.damaged(`${value} ${what} where at most ${most} can be`);
    return value;
  }

  /** How many elements follow, each of at least one byte. */
  count(what: string): number {
    const count = this.varint();
    const most = this.#bytes.length - this.#at;
    if (count > most) throw this.damaged(`${count} ${what} in ${most} bytes`);
    return count;
  }

  float64(): number {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (!Number.isFinite(value)) throw this.damaged(`${value} where a number belongs`);
    return value;
  }

  /** A time in ms since the epoch, or -Infinity. */
  time(): number {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (!Number.isSafeInteger(value) && value !== Number.NEGATIVE_INFINITY) {
      throw this.damaged(`${value} where a time belongs`);
    }
    return value;
  }

  offset(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  text(): string {
    const head = this.varint();
    const isWide = head % 2 === 1;
    const length = isWide ? head - 1 : head / 2;
    const from = this.#take(length);
    return this.#bytes.toString(isWide ? 'utf16le' : 'latin1', from, this.#at);
  }

  /** The next `length` bytes; they share the memory of the checkpoint. */
  block(length: number): Buffer {
    const from = this.#take(length);
    return this.#bytes.subarray(from, this.#at);
  }

  /** Expects the end of the checkpoint. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw this.damaged(`${left} bytes follow where none belong`);
  }

  #take(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw this.damaged('it ends too early');
    this.#at += length;
    return from;
  }
}
