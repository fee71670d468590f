import type { Aggregate } from '../metric-store/aggregate.ts';
import { type Distribution, MAX_RAW_VALUES } from '../metric-store/distribution.ts';
import { decodeDistribution, encodeDistribution } from '../metric-store/distribution-codec.ts';
import { UnreadableDistributionError } from '../metric-store/errors.ts';
import type { CheckpointReader } from './checkpoint-reader.ts';
import {
  FLOAT64,
  fromForm,
  inForm,
  MAX_DECIMALS,
  putIntoForm,
  readInForm,
  readValues,
  type ValueForm,
  writeInForm,
  writeValues,
} from './checkpoint-values.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';

/** Bits of an aggregate's first byte; the form of its values is in the lowest four. */
const FORM = 0x0f;
const IS_SKETCH = 0x10;
const SUM_IN_FORM = 0x20;
const NO_DEVIATION = 0x40;
const UNUSED = 0x80;

/** One aggregate is written at a time, and synchronously. */
const inOneForm = new Float64Array(MAX_RAW_VALUES);

/** The window that an aggregate belongs to, ms. */
export interface WindowSpan {
  readonly start: number;
  readonly sizeMs: number;
}

/** Throws `RangeError` for an aggregate that folding readings of the window cannot give. */
export function writeAggregate(writer: CheckpointWriter, aggregate: Aggregate, window: WindowSpan): void {
  const { count, sum, min, max, first, firstAt, last, lastAt, m2, distribution } = aggregate;
  const isSketch = distribution.kind === 'sketch';
  const values = isSketch ? [min, max, first, last] : distribution.values;
  if (values.length > MAX_RAW_VALUES) throw new RangeError(`${values.length} raw values`);
  const form = putIntoForm(values, inOneForm);
  const sumInForm = form === FLOAT64 ? Number.NaN : inForm(sum, form);
  const hasSumInForm = !Number.isNaN(sumInForm);
  const hasDeviation = !Object.is(m2, 0);
  writer.byte(
    form | (isSketch ? IS_SKETCH : 0) | (hasSumInForm ? SUM_IN_FORM : 0) | (hasDeviation ? 0 : NO_DEVIATION),
  );
  writer.varint(count);
  writer.varint(firstAt - window.start);
  writer.varint(lastAt - firstAt);
  if (hasSumInForm) writeInForm(writer, sumInForm, form);
  else writer.float64(sum);
  if (hasDeviation) writer.float64(m2);
  if (isSketch) {
    for (let i = 0; i < values.length; i++) writeInForm(writer, inOneForm[i] ?? Number.NaN, form);
    writeSketch(writer, distribution);
  } else writeRaw(writer, aggregate, values, form);
}

/** Reads what `writeAggregate` wrote. */
export function readAggregate(reader: CheckpointReader, window: WindowSpan): Aggregate {
  const head = reader.byte();
  const form = head & FORM;
  if ((form > MAX_DECIMALS && form !== FLOAT64) || (head & UNUSED) !== 0) {
    throw reader.damaged(`an aggregate that starts with ${head}`);
  }
  const count = reader.varint();
  const firstAt = window.start + reader.upTo(window.sizeMs - 1, 'ms after the start of the window');
  const lastAt = firstAt + reader.upTo(window.start + window.sizeMs - 1 - firstAt, 'ms after the first');
  const sumForm = (head & SUM_IN_FORM) === 0 ? FLOAT64 : form;
  const sum = fromForm(readInForm(reader, sumForm), sumForm);
  const m2 = (head & NO_DEVIATION) === 0 ? reader.float64() : 0;
  const isSketch = (head & IS_SKETCH) !== 0;
  const values = isSketch ? readSketch(reader, count, form) : readRaw(reader, count, form);
  const { min, max, first, last, distribution } = values;
  return { count, sum, min, max, first, firstAt, last, lastAt, m2, distribution };
}

type Values = Pick<Aggregate, 'min' | 'max' | 'first' | 'last' | 'distribution'>;

/** Raw values hold the smallest, largest, first and last: these are left out, or given by their places. */
function writeRaw(
  writer: CheckpointWriter,
  { count, min, max, first, last }: Aggregate,
  values: readonly number[],
  form: ValueForm,
): void {
  if (values.length !== count) throw new RangeError(`${values.length} raw values of ${count} readings`);
  if (!Object.is(smallestOf(values), min) || !Object.is(largestOf(values), max)) {
    throw new RangeError(`${min} and ${max} are not the smallest and largest of the raw values`);
  }
  writeValues(writer, inOneForm, count, form);
  writer.varint(placeOf(first, values));
  writer.varint(placeOf(last, values));
}

function readRaw(reader: CheckpointReader, count: number, form: ValueForm): Values {
  if (count < 1 || count > MAX_RAW_VALUES) throw reader.damaged(`${count} raw values`);
  const values = readValues(reader, count, form);
  const valueAtPlace = () => values[reader.upTo(count - 1, 'as the place of a value')] ?? Number.NaN;
  const [first, last] = [valueAtPlace(), valueAtPlace()];
  const [min, max] = [smallestOf(values), largestOf(values)];
  return { min, max, first, last, distribution: { kind: 'raw', values } };
}

/** The first of the smallest. */
function smallestOf(values: readonly number[]): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (const value of values) if (value < smallest) smallest = value;
  return smallest;
}

/** The first of the largest. */
function largestOf(values: readonly number[]): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) if (value > largest) largest = value;
  return largest;
}

function placeOf(value: number, values: readonly number[]): number {
  const place = values.indexOf(value);
  if (!Object.is(values[place], value)) throw new RangeError(`${value} is not among the raw values`);
  return place;
}

function writeSketch(writer: CheckpointWriter, sketch: Distribution): void {
  const bytes = encodeDistribution(sketch);
  writer.varint(bytes.length);
  writer.block(bytes);
}

function readSketch(reader: CheckpointReader, count: number, form: ValueForm): Values {
  const value = () => fromForm(readInForm(reader, form), form);
  const [min, max, first, last] = [value(), value(), value(), value()];
  if (![first, last].every((within) => min <= within && within <= max)) {
    throw reader.damaged(`${first} and ${last} are not between ${min} and ${max}`);
  }
  const bytes = reader.block(reader.count('bytes of a sketch'));
  const distribution = decodeStored(reader, bytes, { count, min, max });
  if (distribution.kind !== 'sketch' || count <= MAX_RAW_VALUES) {
    throw reader.damaged(`no sketch of ${count} values`);
  }
  return { min, max, first, last, distribution };
}

function decodeStored(
  reader: CheckpointReader,
  bytes: Buffer,
  given: { readonly count: number; readonly min: number; readonly max: number },
): Distribution {
  try {
    return decodeDistribution(bytes, given);
  } catch (cause) {
    if (!(cause instanceof UnreadableDistributionError)) throw cause;
    throw reader.damaged(cause.message, { cause });
  }
}
