import type { CheckpointReader } from './checkpoint-reader.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';

/**
 * How the values of one aggregate are written: 0 to 9, as integers that are each divided by that power of ten, where
 * this gives every value back bit for bit; otherwise `FLOAT64`.
 */
export type ValueForm = number;

export const FLOAT64: ValueForm = 15;
export const MAX_DECIMALS = 9;

/** Beyond it, a double times a power of ten may round to another integer. */
const MAX_INTEGER = 2 ** 51;
const POWERS = Array.from({ length: MAX_DECIMALS + 1 }, (_, decimals) => 10 ** decimals);

/** Puts values into the form with the fewest decimal places that all of them have, and returns which one that is. */
export function putIntoForm(values: readonly number[], target: Float64Array): ValueForm {
  for (let decimals = 0; decimals <= MAX_DECIMALS; decimals++) {
    if (putAsIntegers(values, decimals, target)) return decimals;
  }
  target.set(values);
  return FLOAT64;
}

function putAsIntegers(values: readonly number[], decimals: number, target: Float64Array): boolean {
  for (let i = 0; i < values.length; i++) {
    const integer = toInteger(values[i] ?? Number.NaN, decimals);
    if (Number.isNaN(integer)) return false;
    target[i] = integer;
  }
  return true;
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
  if (form === FLOAT64) return reader.float64();
  const integer = reader.signed();
  if (Math.abs(integer) > MAX_INTEGER) throw reader.damaged(`${integer} stands for no value`);
  return integer;
}

/** Writes numbers of a form, in their order: integers as the first and the steps from each to the next. */
export function writeValues(
  writer: CheckpointWriter,
  inForm: Float64Array,
  count: number,
  form: ValueForm,
): void {
  let previous = 0;
  for (let i = 0; i < count; i++) {
    const next = inForm[i] ?? Number.NaN;
    if (form === FLOAT64) writer.float64(next);
    else writer.signed(next - previous);
    previous = next;
  }
}

/** Reads what `writeValues` wrote, as values. */
export function readValues(reader: CheckpointReader, count: number, form: ValueForm): number[] {
  const values: number[] = [];
  let integer = 0;
  for (let i = 0; i < count; i++) {
    if (form === FLOAT64) {
      values.push(reader.float64());
      continue;
    }
    integer += reader.signed();
    if (Math.abs(integer) > MAX_INTEGER) throw reader.damaged(`${integer} stands for no value`);
    values.push(fromForm(integer, form));
  }
  return values;
}
