const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;

/** The partition of a key as Kafka's own clients compute it: positive murmur2 of the UTF-8 bytes, modulo. */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitions;
}

/** 32-bit murmur2 as in Kafka's `Utils.murmur2`, as a signed integer. */
export function murmur2(bytes: Uint8Array): number {
  const tail = bytes.length & ~3;
  let h = SEED ^ bytes.length;
  for (let i = 0; i < tail; i += 4) {
    let k =
      byteAt(bytes, i) |
      (byteAt(bytes, i + 1) << 8) |
      (byteAt(bytes, i + 2) << 16) |
      (byteAt(bytes, i + 3) << 24);
    k = Math.imul(k, MULTIPLIER);
    k ^= k >>> 24;
    h = Math.imul(h, MULTIPLIER) ^ Math.imul(k, MULTIPLIER);
  }
  const rest = bytes.length - tail;
  if (rest === 3) h ^= byteAt(bytes, tail + 2) << 16;
  if (rest >= 2) h ^= byteAt(bytes, tail + 1) << 8;
  if (rest >= 1) h = Math.imul(h ^ byteAt(bytes, tail), MULTIPLIER);
  h = Math.imul(h ^ (h >>> 13), MULTIPLIER);
  return h ^ (h >>> 15);
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
