import type { CheckpointReader } from './checkpoint-reader.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';

/**
 * How the values of one aggregate are written: as integers, each divided by the same power of ten, where that gives
 * every value back bit for bit; as float64 otherwise.
 */
export type ValueForm = number;

export const FLOAT64: ValueForm = 15;
/** Forms 0 to 9 are numbers of decimal places. */
export const MAX_DECIMALS = 9;

/** Beyond it, a double times a power of ten may round to another integer. */
const MAX_INTEGER = 2 ** 51;
const POWERS = Array.from({ length: MAX_DECIMALS + 1 }, (_, decimals) => 10 ** decimals);
const INSERTION_LIMIT = 24;

/** The form with the fewest decimal places that all values have. */
export function formOf(values: readonly number[]): ValueForm {
  let decimals = 0;
  for (const value of values) {
    while (Number.isNaN(toInteger(value, decimals))) if (++decimals > MAX_DECIMALS) return FLOAT64;
  }
  // A large value of few decimal places may not have as many as the others need.
  return values.every((value) => !Number.isNaN(toInteger(value, decimals))) ? decimals : FLOAT64;
}

/** What stands for a value in a form: the integer, or the value itself. NaN when the form does not have it. */
export function inForm(value: number, form: ValueForm): number {
  return form === FLOAT64 ? value : toInteger(value, form);
}

/** The value that a number in a form stands for. */
export function fromForm(inForm: number, form: ValueForm): number {
  return form === FLOAT64 ? inForm : inForm / (POWERS[form] ?? Number.NaN);
}

function toInteger(value: number, decimals: number): number {
  const power = POWERS[decimals] ?? Number.NaN;
  const integer = Math.round(value * power);
  if (integer / power !== value || Math.abs(integer) > MAX_INTEGER || Object.is(integer, -0))
    return Number.NaN;
  return integer;
}

/** Writes one number of a form. */
export function writeInForm(writer: CheckpointWriter, inForm: number, form: ValueForm): void {
  if (form === FLOAT64) writer.float64(inForm);
  else writer.signed(inForm);
}

export function readInForm(reader: CheckpointReader, form: ValueForm): number {
  return form === FLOAT64 ? reader.float64() : readInteger(reader);
}

function readInteger(reader: CheckpointReader): number {
  const integer = reader.signed();
  if (Math.abs(integer) > MAX_INTEGER) throw reader.damaged(`${integer} stands for no value`);
  return integer;
}

/** Writes ascending numbers of a form: integers as the first and the steps from one to the next. */
export function writeAscending(
  writer: CheckpointWriter,
  ascending: Float64Array,
  count: number,
  form: ValueForm,
): void {
  let previous = ascending[0] ?? Number.NaN;
  writeInForm(writer, previous, form);
  for (let i = 1; i < count; i++) {
    const next = ascending[i] ?? Number.NaN;
    if (form === FLOAT64) writer.float64(next);
    else writer.varint(next - previous);
    previous = next;
  }
}

/** Reads what `writeAscending` wrote, as values. */
export function readAscending(reader: CheckpointReader, count: number, form: ValueForm): number[] {
  let previous = readInForm(reader, form);
  const values = [fromForm(previous, form)];
  for (let i = 1; i < count; i++) {
    const next = form === FLOAT64 ? reader.float64() : previous + reader.varint();
    if (form === FLOAT64 ? !isInOrder(previous, next) : next > MAX_INTEGER) {
      throw reader.damaged('values out of order');
    }
    values.push(fromForm(next, form));
    previous = next;
  }
  return values;
}

/** Sorts the first `count` numbers ascending, -0 before 0. Insertion is the fastest for few. */
export function sortAscending(numbers: Float64Array, count: number): void {
  if (count > INSERTION_LIMIT) {
    numbers.subarray(0, count).sort();
    return;
  }
  for (let i = 1; i < count; i++) {
    const number = numbers[i] ?? 0;
    let at = i;
    for (; at > 0 && !isInOrder(numbers[at - 1] ?? 0, number); at--) numbers[at] = numbers[at - 1] ?? 0;
    numbers[at] = number;
  }
}

function isInOrder(a: number, b: number): boolean {
  return a < b || (a === b && !(a === 0 && Object.is(b, -0) && Object.is(a, 0)));
}
