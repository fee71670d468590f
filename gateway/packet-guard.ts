/** Why a byte stream cannot be let through to the MQTT parser. */
export type PacketFault =
  | { readonly kind: 'packet_too_large'; readonly bytes: number }
  | { readonly kind: 'malformed_length' };

const LENGTH_BITS = 0x7f;
const CONTINUES = 0x80;
const LAST_LENGTH_SHIFT = 21;

/**
 * Follows the fixed headers of one connection's byte stream, however it is cut into segments, so that a packet
 * that is too large is noticed from its header. Steps over packet bodies without looking at them.
 */
export class PacketGuard {
  readonly #maxPacketBytes: number;
  /** Bytes of the current packet's body that are still to come. */
  #bodyBytes = 0;
  #isInLength = false;
  #length = 0;
  #shift = 0;

  /** `maxPacketBytes` counts what follows the fixed header ("remaining length"). */
  constructor(maxPacketBytes: number) {
    this.#maxPacketBytes = maxPacketBytes;
  }

  /** Looks at the next bytes of the stream. After a fault the stream must not be read any further. */
  inspect(chunk: Uint8Array): PacketFault | undefined {
    let position = 0;
    for (;;) {
      position += this.#bodyBytes;
      if (position > chunk.length) {
        this.#bodyBytes = position - chunk.length;
        return undefined;
      }
      this.#bodyBytes = 0;
      if (!this.#isInLength) {
        if (position === chunk.length) return undefined;
        position++;
        this.#isInLength = true;
      }
      for (; this.#isInLength; position++) {
        const byte = chunk[position];
        if (byte === undefined) return undefined;
        const fault = this.#takeLengthByte(byte);
        if (fault !== undefined) return fault;
      }
    }
  }

  #takeLengthByte(byte: number): PacketFault | undefined {
    this.#length += (byte & LENGTH_BITS) << this.#shift;
    if ((byte & CONTINUES) !== 0) {
      // [MQTT-2.2.3]: the length takes at most four bytes.
      if (this.#shift === LAST_LENGTH_SHIFT) return { kind: 'malformed_length' };
      this.#shift += 7;
    } else {
      this.#bodyBytes = this.#length;
      this.#isInLength = false;
      this.#length = 0;
      this.#shift = 0;
    }
    const bytes = Math.max(this.#length, this.#bodyBytes);
    return bytes > this.#maxPacketBytes ? { kind: 'packet_too_large', bytes } : undefined;
  }
}
