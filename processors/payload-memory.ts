/** Payloads of a device that are remembered. */
export const PAYLOAD_MEMORY = 64;

/** Hashes of a device's latest payloads. Plain data. */
export interface PayloadMemory {
  /** At most `PAYLOAD_MEMORY`, in no order of age. */
  readonly hashes: number[];
  /** Where the next one goes. */
  next: number;
}

export function createPayloadMemory(): PayloadMemory {
  return { hashes: [], next: 0 };
}

/** Tells whether a payload with this hash is among the latest, and remembers it when not. */
export function isPayloadDuplicate(memory: PayloadMemory, hash: number): boolean {
  if (memory.hashes.includes(hash)) return true;
  memory.hashes[memory.next] = hash;
  memory.next = (memory.next + 1) % PAYLOAD_MEMORY;
  return false;
}

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;
const SECOND_BASIS = 0x9747b28c;
const LOW_BITS = 2 ** 21;

/**
 * 53 bits of two FNV-1a hashes of the bytes and of `index`, the message's place in the payload's array: a safe
 * integer. Two different payloads of a device meet within its memory with a probability below 10^-14.
 */
export function hashPayload(bytes: Uint8Array, index: number): number {
  let first = OFFSET_BASIS ^ index;
  let second = SECOND_BASIS ^ index;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    first = Math.imul(first ^ byte, PRIME);
    second = Math.imul(second + byte, PRIME) ^ (second >>> 15);
  }
  return (first >>> 0) * LOW_BITS + ((second >>> 0) % LOW_BITS);
}
