import { MAX_BUCKETS } from './distribution.ts';
import { UnreadableDistributionError } from './errors.ts';
import type { ByteReader, ByteWriter } from './varint.ts';

/** No double falls into a bucket beyond this one, of either sign. */
const OUTERMOST_BUCKET = 35_500;

const order = new Int32Array(MAX_BUCKETS);

/** Writes the buckets of one sign in ascending order; see FORMAT.md. */
export function writeBuckets(writer: ByteWriter, buckets: ReadonlyMap<number, number>): void {
  writer.varint(buckets.size);
  if (buckets.size === 0) return;
  let size = 0;
  for (const bucket of buckets.keys()) order[size++] = bucket;
  const ascending = order.subarray(0, size).sort();
  let previous = Number.NaN;
  for (const bucket of ascending) {
    if (Number.isNaN(previous)) writer.varint(zigzag(bucket));
    else writer.varint(bucket - previous - 1);
    writer.varint(buckets.get(bucket) ?? 0);
    previous = bucket;
  }
}

/** Reads what `writeBuckets` wrote. Throws `UnreadableDistributionError`. */
export function readBuckets(reader: ByteReader): Map<number, number> {
  const buckets = new Map<number, number>();
  const size = reader.varint();
  if (size > MAX_BUCKETS) throw new UnreadableDistributionError(`${size} buckets`);
  let bucket = 0;
  let lowest = 0;
  for (let i = 0; i < size; i++) {
    if (i === 0) lowest = bucket = unzigzag(reader.varint());
    else bucket += reader.varint() + 1;
    if (Math.abs(bucket) > OUTERMOST_BUCKET || bucket - lowest >= MAX_BUCKETS) {
      throw new UnreadableDistributionError(`no sketch has buckets ${lowest} and ${bucket}`);
    }
    const count = reader.varint();
    if (count === 0) throw new UnreadableDistributionError(`bucket ${bucket} is empty`);
    buckets.set(bucket, count);
  }
  return buckets;
}

function zigzag(n: number): number {
  return n < 0 ? -2 * n - 1 : 2 * n;
}

function unzigzag(n: number): number {
  return n % 2 === 1 ? -(n + 1) / 2 : n / 2;
}
