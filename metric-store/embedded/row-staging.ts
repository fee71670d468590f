import {
  BLOB,
  DOUBLE,
  DuckDBBlobValue,
  DuckDBBlobVector,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBDoubleVector,
} from '@duckdb/node-api';
import { encodeDistribution } from '../distribution-codec.ts';
import type { WindowAggregate } from '../metric-store.ts';
import { ROW_COLUMNS } from './schema.ts';

/** A row with the number of its series. */
export interface StagedRow {
  readonly series: number;
  readonly row: WindowAggregate;
}

const CHUNK_ROWS = 2_048;
const CHUNKS_PER_TURN = 4;
const TYPES = [...ROW_COLUMNS.map(() => DOUBLE), BLOB];

/** Creates the table that rows go through: doubles are what JavaScript hands over fastest. */
export async function createStaging(connection: DuckDBConnection): Promise<void> {
  const columns = ROW_COLUMNS.map(({ name }) => `"${name}" DOUBLE`).join(', ');
  await connection.run(`CREATE TEMP TABLE staging (${columns}, distribution BLOB)`);
}

/** Appends rows to the staging table, leaving the event loop free every few thousand rows. */
export async function stageRows(connection: DuckDBConnection, rows: readonly StagedRow[]): Promise<void> {
  const appender = await connection.createAppender('staging');
  let chunks = 0;
  for (let from = 0; from < rows.length; from += CHUNK_ROWS) {
    if (chunks > 0 && chunks % CHUNKS_PER_TURN === 0) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    appender.appendDataChunk(chunkOf(rows, from, Math.min(CHUNK_ROWS, rows.length - from)));
    chunks++;
  }
  appender.flushSync();
  appender.closeSync();
}

function chunkOf(rows: readonly StagedRow[], from: number, length: number): DuckDBDataChunk {
  const chunk = DuckDBDataChunk.create(TYPES, length);
  const numbers = ROW_COLUMNS.map((_, column) => doubleVector(chunk, column));
  const distributions = chunk.getColumnVector(ROW_COLUMNS.length);
  if (!(distributions instanceof DuckDBBlobVector)) throw new TypeError('not a blob column');
  for (let at = 0; at < length; at++) {
    const staged = rows[from + at];
    if (staged === undefined) break;
    setNumbers(numbers, at, staged);
    const bytes = encodeDistribution(staged.row.aggregate.distribution);
    distributions.setItem(at, bytes.length === 0 ? null : new DuckDBBlobValue(bytes));
  }
  for (const vector of numbers) vector.flush();
  distributions.flush();
  return chunk;
}

function doubleVector(chunk: DuckDBDataChunk, column: number): DuckDBDoubleVector {
  const vector = chunk.getColumnVector(column);
  if (!(vector instanceof DuckDBDoubleVector)) throw new TypeError('not a column of doubles');
  return vector;
}

/** In the order of `ROW_COLUMNS`. */
function setNumbers(vectors: readonly DuckDBDoubleVector[], at: number, { series, row }: StagedRow): void {
  const { aggregate } = row;
  vectors[0]?.setItem(at, series);
  vectors[1]?.setItem(at, row.windowStart);
  vectors[2]?.setItem(at, row.pane);
  vectors[3]?.setItem(at, aggregate.count);
  vectors[4]?.setItem(at, aggregate.sum);
  vectors[5]?.setItem(at, aggregate.min);
  vectors[6]?.setItem(at, aggregate.max);
  vectors[7]?.setItem(at, aggregate.first);
  vectors[8]?.setItem(at, aggregate.firstAt);
  vectors[9]?.setItem(at, aggregate.last);
  vectors[10]?.setItem(at, aggregate.lastAt);
  vectors[11]?.setItem(at, aggregate.m2);
}
