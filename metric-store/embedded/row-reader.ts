import {
  DuckDBBlobVector,
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBDoubleVector,
  listValue,
} from '@duckdb/node-api';
import { NO_DISTRIBUTION } from '../distribution.ts';
import { decodeDistribution } from '../distribution-codec.ts';
import type { Selection, WindowAggregate } from '../metric-store.ts';
import { alignRange, type BucketCount, cutIntoSlices, type Slice } from '../slices.ts';
import { ROW_COLUMNS, rowTable } from './schema.ts';

/** Rows that one query may bring into memory. */
const MAX_ROWS_PER_SLICE = 50_000;

const EMPTY = new Uint8Array(0);
const NUMBERS = ROW_COLUMNS.map(({ name }) => `"${name}"::DOUBLE`).join(', ');

/**
 * Reads a selection as it is in the store at the start, on a connection that is used for nothing else meanwhile.
 * Slices are read whole rather than streamed: a streaming result that fails midway looks like one that has ended.
 */
export async function* readRows(
  connection: DuckDBConnection,
  selection: Selection,
): AsyncGenerator<readonly WindowAggregate[]> {
  await connection.run('BEGIN');
  const devices = await findDevices(connection, selection);
  if (devices.size === 0) return;
  const { from, to, resolutionMs } = selection;
  const table = rowTable(resolutionMs);
  const chosen = `series IN (SELECT unnest([${[...devices.keys()].join(',')}]))`;
  const slices = cutIntoSlices(alignRange(from, to, resolutionMs), {
    resolutionMs,
    maxRows: MAX_ROWS_PER_SLICE,
    countRows: (slice, widthMs) =>
      countRows(connection, `FROM ${table} WHERE ${within(slice)} AND ${chosen}`, widthMs),
  });
  const columns = `${NUMBERS}, ${selection.distributions ? 'distribution' : 'NULL::BLOB'}`;
  for await (const slice of slices) {
    const result = await connection.run(
      `SELECT ${columns} FROM ${table} WHERE ${within(slice)} AND ${chosen}`,
    );
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) break;
      yield rowsOf(chunk, selection, devices);
    }
  }
}

/** The devices of the selected series, by the series' number. */
async function findDevices(
  connection: DuckDBConnection,
  { metric, devices }: Selection,
): Promise<ReadonlyMap<number, string>> {
  const chosen = devices === undefined ? '' : 'AND device IN (SELECT unnest($devices::VARCHAR[]))';
  const found = await connection.runAndReadAll(
    `SELECT id, device FROM series WHERE metric = $metric ${chosen}`,
    { metric, ...(devices === undefined ? {} : { devices: listValue(devices) }) },
  );
  return new Map(found.getRows().map(([id, device]) => [Number(id), String(device)]));
}

async function countRows(
  connection: DuckDBConnection,
  source: string,
  widthMs: number,
): Promise<BucketCount[]> {
  const counted = await connection.runAndReadAll(
    `SELECT window_start // ${widthMs} AS bucket, count(*) ${source} GROUP BY bucket ORDER BY bucket`,
  );
  return counted.getRows().map(([bucket, rows]) => ({ start: Number(bucket) * widthMs, rows: Number(rows) }));
}

/** In integer literals, so that DuckDB can skip row groups by them. */
function within({ from, to }: Slice): string {
  return `window_start >= ${from} AND window_start < ${to}`;
}

function rowsOf(
  chunk: DuckDBDataChunk,
  selection: Selection,
  devices: ReadonlyMap<number, string>,
): WindowAggregate[] {
  const numbers = ROW_COLUMNS.map((_, column) => {
    const vector = chunk.getColumnVector(column);
    if (!(vector instanceof DuckDBDoubleVector)) throw new TypeError('not a column of doubles');
    return vector;
  });
  const distributions = chunk.getColumnVector(ROW_COLUMNS.length);
  if (!(distributions instanceof DuckDBBlobVector)) throw new TypeError('not a blob column');
  const rows: WindowAggregate[] = [];
  for (let at = 0; at < chunk.rowCount; at++) {
    const number = (column: number) => numbers[column]?.getItem(at) ?? Number.NaN;
    const bytes = selection.distributions ? (distributions.getItemBytes(at) ?? EMPTY) : undefined;
    rows.push(rowOf(number, bytes, selection, devices));
  }
  return rows;
}

/** Columns are in the order of `ROW_COLUMNS`. */
function rowOf(
  number: (column: number) => number,
  bytes: Uint8Array | undefined,
  { metric, resolutionMs }: Selection,
  devices: ReadonlyMap<number, string>,
): WindowAggregate {
  const count = number(3);
  const min = number(5);
  const max = number(6);
  const aggregate = {
    count,
    sum: number(4),
    min,
    max,
    first: number(7),
    firstAt: number(8),
    last: number(9),
    lastAt: number(10),
    m2: number(11),
    distribution: bytes === undefined ? NO_DISTRIBUTION : decodeDistribution(bytes, { count, min, max }),
  };
  const deviceId = devices.get(number(0)) ?? '';
  return { deviceId, metric, resolutionMs, windowStart: number(1), pane: number(2), aggregate };
}
