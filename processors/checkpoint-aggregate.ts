import type { Aggregate } from '../metric-store/aggregate.ts';
import { type Distribution, MAX_RAW_VALUES } from '../metric-store/distribution.ts';
import { decodeDistribution, encodeDistribution } from '../metric-store/distribution-codec.ts';
import { UnreadableDistributionError } from '../metric-store/errors.ts';
import type { CheckpointReader } from './checkpoint-reader.ts';
import {
  FLOAT64,
  formOf,
  fromForm,
  inForm,
  MAX_DECIMALS,
  readAscending,
  readInForm,
  sortAscending,
  type ValueForm,
  writeAscending,
  writeInForm,
} from './checkpoint-values.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';

/** Bits of an aggregate's first byte; the form of its values is in the lowest four. */
const FORM = 0x0f;
const IS_SKETCH = 0x10;
const SUM_IN_FORM = 0x20;
const NO_DEVIATION = 0x40;
const UNUSED = 0x80;

/** One aggregate is written at a time, and synchronously. */
const ascending = new Float64Array(MAX_RAW_VALUES);

/** The window that an aggregate belongs to, ms. */
export interface WindowSpan {
  readonly start: number;
  readonly sizeMs: number;
}

/** Throws `RangeError` for an aggregate that folding readings of the window cannot give. */
export function writeAggregate(writer: CheckpointWriter, aggregate: Aggregate, window: WindowSpan): void {
  const { count, sum, min, max, first, firstAt, last, lastAt, m2, distribution } = aggregate;
  const isSketch = distribution.kind === 'sketch';
  const form = formOf(isSketch ? [min, max, first, last] : distribution.values);
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
    for (const value of [min, max, first, last]) writeInForm(writer, inForm(value, form), form);
    writeSketch(writer, distribution);
  } else writeRaw(writer, aggregate, distribution.values, form);
}

/** Reads what `writeAggregate` wrote; raw values come in ascending order. */
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

/** Raw values hold the smallest, largest, first and last, so these are given by their places or not at all. */
function writeRaw(
  writer: CheckpointWriter,
  { count, min, max, first, last }: Aggregate,
  values: readonly number[],
  form: ValueForm,
): void {
  if (values.length !== count || count > MAX_RAW_VALUES) {
    throw new RangeError(`${values.length} raw values of ${count} readings`);
  }
  for (let i = 0; i < count; i++) ascending[i] = inForm(values[i] ?? Number.NaN, form);
  sortAscending(ascending, count);
  if (placeOf(min, count, form) !== 0 || !Object.is(ascending[count - 1], inForm(max, form))) {
    throw new RangeError(`${min} and ${max} are not the smallest and largest of the raw values`);
  }
  writeAscending(writer, ascending, count, form);
  writer.varint(placeOf(first, count, form));
  writer.varint(placeOf(last, count, form));
}

function placeOf(value: number, count: number, form: ValueForm): number {
  const sought = inForm(value, form);
  for (let place = 0; place < count; place++) if (Object.is(ascending[place], sought)) return place;
  throw new RangeError(`${value} is not among the raw values`);
}

function readRaw(reader: CheckpointReader, count: number, form: ValueForm): Values {
  if (count < 1 || count > MAX_RAW_VALUES) throw reader.damaged(`${count} raw values`);
  const values = readAscending(reader, count, form);
  const at = () => values[reader.upTo(count - 1, 'as the place of a value')] ?? Number.NaN;
  const [first, last] = [at(), at()];
  const [min = first, max = last] = [values[0], values.at(-1)];
  return { min, max, first, last, distribution: { kind: 'raw', values } };
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
