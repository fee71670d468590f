import { readFile, stat } from 'node:fs/promises';
import { RecordingError } from './errors.ts';

/** A recorded series. At least one row; in the order of the file. */
export interface Recording {
  readonly rows: readonly RecordedRow[];
}

export interface RecordedRow {
  /** Ms since the epoch. */
  readonly timestamp: number;
  readonly value: number;
}

const MAX_BYTES = 64 * 1_024 * 1_024;
const TIME = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?$/;

/** Reads a recording of at most 64 MiB. Rejects with `RecordingError`. */
export async function readRecording(file: string): Promise<Recording> {
  try {
    const { size } = await stat(file);
    if (size > MAX_BYTES) throw new RecordingError(`${file} has ${size} bytes, more than ${MAX_BYTES}`);
    return parseRecording(await readFile(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RecordingError(`cannot replay ${file}: ${reason}`, { cause });
  }
}

/**
 * Parses CSV with the header `timestamp,value`. Times are ISO 8601 with `T` or a space, and UTC where they carry no
 * zone; values are finite numbers. Throws `RecordingError` naming the line.
 */
export function parseRecording(text: string): Recording {
  const [header, ...lines] = text.split(/\r?\n/);
  if (header?.trim() !== 'timestamp,value') {
    throw new RecordingError(`line 1 is ${JSON.stringify(header)}, expected the header "timestamp,value"`);
  }
  const rows: RecordedRow[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() !== '') rows.push(parseRow(line, i + 2));
  }
  if (rows.length === 0) throw new RecordingError('there are no rows');
  return { rows };
}

function parseRow(line: string, number: number): RecordedRow {
  const [time = '', amount = '', ...more] = line.split(',').map((cell) => cell.trim());
  const [, day, clock, zone = 'Z'] = TIME.exec(time) ?? [];
  const timestamp = Date.parse(`${day}T${clock}${zone}`);
  if (Number.isNaN(timestamp)) throw malformed(number, time, 'a time such as 2013-07-04 00:00:00');
  const value = Number(amount);
  if (amount === '' || !Number.isFinite(value)) throw malformed(number, amount, 'a finite number');
  if (more.length > 0) throw malformed(number, line, 'two columns');
  return { timestamp, value };
}

function malformed(line: number, seen: string, expected: string): RecordingError {
  return new RecordingError(`line ${line} has ${JSON.stringify(seen)}, expected ${expected}`);
}
