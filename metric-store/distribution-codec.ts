import { type Distribution, isAbsent, MAX_RAW_VALUES, NO_DISTRIBUTION, type Sketch } from './distribution.ts';
import { readBuckets, writeBuckets } from './distribution-buckets.ts';
import { UnreadableDistributionError } from './errors.ts';
import { ByteReader, ByteWriter } from './varint.ts';

/** What the reader of an encoded distribution knows from the aggregate that it belongs to. */
export interface EncodedWith {
  readonly count: number;
  readonly min: number;
  readonly max: number;
}

/** First byte of an encoding; see FORMAT.md. A change of layout takes the next free number. */
const RAW_V1 = 1;
const SKETCH_V1 = 2;
const ABSENT_V1 = 3;

const INSERTION_LIMIT = 24;
const EMPTY = Buffer.alloc(0);
const ABSENT = Buffer.from([ABSENT_V1]);
const sorted = new Float64Array(MAX_RAW_VALUES);

/**
 * Encodes the distribution of an aggregate, as laid out in FORMAT.md. Equal distributions have equal encodings,
 * whatever the order of their values. What count, min and max of the aggregate give already is left out, so they
 * are needed to decode; a distribution that they give fully is encoded as no bytes at all. Throws a `RangeError`
 * when there are more than `MAX_RAW_VALUES` raw values.
 */
export function encodeDistribution(distribution: Distribution): Buffer {
  if (distribution.kind === 'sketch') return encodeSketch(distribution);
  const { values } = distribution;
  const count = values.length;
  if (count === 0) return ABSENT;
  if (count > MAX_RAW_VALUES) throw new RangeError(`${count} raw values; at most ${MAX_RAW_VALUES} are kept`);
  if (count <= 2) return EMPTY;
  sortInto(sorted, values);
  if (Object.is(sorted[0], sorted[count - 1])) return EMPTY;
  const bytes = Buffer.allocUnsafe(1 + (count - 2) * 8);
  bytes[0] = RAW_V1;
  for (let i = 1; i < count - 1; i++) bytes.writeDoubleLE(sorted[i] ?? 0, 1 + (i - 1) * 8);
  return bytes;
}

/**
 * Decodes what `encodeDistribution` returned, given count, min and max of the same aggregate. Throws
 * `UnreadableDistributionError` for bytes that cannot be the encoding of such an aggregate's distribution.
 */
export function decodeDistribution(bytes: Uint8Array, given: EncodedWith): Distribution {
  if (bytes.length === 0) return { kind: 'raw', values: givenValues(given) };
  switch (bytes[0]) {
    case RAW_V1:
      return { kind: 'raw', values: decodeRaw(bytes, given) };
    case SKETCH_V1:
      return decodeSketch(bytes, given);
    case ABSENT_V1:
      if (bytes.length === 1) return NO_DISTRIBUTION;
      throw new UnreadableDistributionError(`${bytes.length - 1} bytes follow where none belong`);
    default:
      throw new UnreadableDistributionError(`unknown format ${bytes[0]}`);
  }
}

/** Whether an aggregate of `count` readings can carry this distribution. Sketches are taken at their word. */
export function fitsCount(distribution: Distribution, count: number): boolean {
  if (isAbsent(distribution)) return true;
  return distribution.kind === 'raw' ? distribution.values.length === count : count > MAX_RAW_VALUES;
}

function givenValues({ count, min, max }: EncodedWith): number[] {
  if (count === 1) return [min];
  if (count === 2) return [min, max];
  if (Object.is(min, max) && count > 0 && count <= MAX_RAW_VALUES) return Array(count).fill(min);
  throw new UnreadableDistributionError(`no bytes, but ${count} values from ${min} to ${max}`);
}

function decodeRaw(bytes: Uint8Array, { count, min, max }: EncodedWith): number[] {
  if (count > MAX_RAW_VALUES || count < 3 || bytes.length !== 1 + (count - 2) * 8) {
    throw new UnreadableDistributionError(`${bytes.length} bytes for ${count} raw values`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = [min];
  let previous = min;
  for (let at = 1; at < bytes.length; at += 8) {
    const value = view.getFloat64(at, true);
    if (!(value >= previous)) throw new UnreadableDistributionError('raw values are not in order');
    values.push(value);
    previous = value;
  }
  if (!(max >= previous)) throw new UnreadableDistributionError('raw values are not in order');
  values.push(max);
  return values;
}

function encodeSketch(sketch: Sketch): Buffer {
  const writer = new ByteWriter(SKETCH_V1);
  writer.varint(sketch.zero);
  writeBuckets(writer, sketch.positive);
  writeBuckets(writer, sketch.negative);
  return writer.bytes();
}

function decodeSketch(bytes: Uint8Array, { count }: EncodedWith): Sketch {
  const reader = new ByteReader(bytes, 1);
  const zero = reader.varint();
  const positive = readBuckets(reader);
  const negative = readBuckets(reader);
  reader.end();
  let total = zero;
  for (const n of positive.values()) total += n;
  for (const n of negative.values()) total += n;
  if (total !== count) throw new UnreadableDistributionError(`a sketch of ${total} values, not of ${count}`);
  return { kind: 'sketch', positive, negative, zero };
}

/** Ascending, -0 before 0. Insertion is the fastest for few values. */
function sortInto(target: Float64Array, values: readonly number[]): void {
  if (values.length > INSERTION_LIMIT) {
    target.set(values);
    target.subarray(0, values.length).sort();
    return;
  }
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    let at = i;
    for (; at > 0; at--) {
      const before = target[at - 1] ?? 0;
      if (before < value || (before === value && !(value === 0 && Object.is(value, -0)))) break;
      target[at] = before;
    }
    target[at] = value;
  }
}
