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

/** Whether a payload with this hash is among the latest. */
export function isPayloadSeen({ hashes }: PayloadMemory, hash: number): boolean {
  return hashes.includes(hash);
}

/** Remembers a payload, in the place of the oldest where there are many; one that is among the latest stays as it is. */
export function rememberPayload(memory: PayloadMemory, hash: number): void {
  if (isPayloadSeen(memory, hash)) return;
  memory.hashes[memory.next] = hash;
  memory.next = (memory.next + 1) % PAYLOAD_MEMORY;
}

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;
const SECOND_BASIS = 0x9747b28c;
const LOW_BITS = 2 ** 21;

const DATA_KEY = '"data":';
/** `"data":` begins within these first bytes of every event. */
const LONGEST_PREFIX_BYTES = 64;

/** The hash of what the device sent, within an event: its `received` differs between deliveries. */
export function hashPayloadOf(event: Buffer): number {
  const at = event.subarray(0, LONGEST_PREFIX_BYTES).indexOf(DATA_KEY);
  return hashPayload(event.subarray(at + DATA_KEY.length));
}

/**
 * 53 bits of two FNV-1a hashes of the bytes: a safe integer. Two different payloads of a device meet within its memory
 * with a probability below 10^-14.
 */
export function hashPayload(bytes: Uint8Array): number {
  let first = OFFSET_BASIS;
  let second = SECOND_BASIS;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    first = Math.imul(first ^ byte, PRIME);
    second = Math.imul(second + byte, PRIME) ^ (second >>> 15);
  }
  return (first >>> 0) * LOW_BITS + ((second >>> 0) % LOW_BITS);
}
