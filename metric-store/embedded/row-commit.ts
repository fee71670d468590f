import type { DuckDBConnection } from '@duckdb/node-api';
import type { WindowAggregate } from '../metric-store.ts';
import { type StagedRow, stageRows } from './row-staging.ts';
import { ROW_COLUMNS, rowTable } from './schema.ts';
import type { SeriesRegister } from './series-register.ts';

const COLUMNS = [...ROW_COLUMNS.map(({ name }) => `"${name}"`), 'distribution'].join(', ');
const CASTS = [...ROW_COLUMNS.map(({ name, type }) => `"${name}"::${type}`), 'distribution'].join(', ');

/**
 * Stores rows in one transaction; DuckDB has synced its log when this resolves. Rows of the same identity are
 * replaced by deleting them first: as rows come in order of time, the scan for them stays within the newest row
 * groups, which costs a fraction of keeping an index (2.7-3.3 us against 8-9 us of CPU a row). A very late
 * row widens that scan back to its window, at about 75 million rows a second. Not reentrant.
 */
export async function commitRows(
  connection: DuckDBConnection,
  series: SeriesRegister,
  rows: readonly WindowAggregate[],
): Promise<void> {
  await connection.run('BEGIN');
  try {
    for (const [resolutionMs, newest] of newestByIdentity(series, rows)) {
      await replaceRows(connection, rowTable(resolutionMs), newest);
    }
    await series.storeFresh(connection);
    await connection.run('COMMIT');
  } catch (error) {
    series.rolledBack();
    await connection.run('ROLLBACK').catch(() => undefined);
    throw error;
  }
  series.committed();
}

async function replaceRows(
  connection: DuckDBConnection,
  table: string,
  rows: readonly StagedRow[],
): Promise<void> {
  let oldest = Number.POSITIVE_INFINITY;
  let newest = 0;
  for (const { row } of rows) {
    oldest = Math.min(oldest, row.windowStart);
    newest = Math.max(newest, row.windowStart);
  }
  await stageRows(connection, rows);
  await connection.run(
    `DELETE FROM ${table} r USING staging s WHERE r.window_start BETWEEN ${oldest} AND ${newest}
      AND r.series = s.series::INTEGER AND r.window_start = s.window_start::BIGINT AND r.pane = s.pane::BIGINT`,
  );
  await connection.run(`INSERT INTO ${table} (${COLUMNS}) SELECT ${CASTS} FROM staging`);
  await connection.run('TRUNCATE staging');
}

/**
 * Per resolution the last given row of each identity, as merged writes may hold an identity twice. Rows of one
 * window end up next to each other.
 */
function newestByIdentity(
  series: SeriesRegister,
  rows: readonly WindowAggregate[],
): Map<number, readonly StagedRow[]> {
  const windows = new Map<number, Map<number, Map<number, StagedRow>>>();
  for (const row of rows) {
    const ofResolution = getOrCreate(windows, row.resolutionMs);
    // Unique per window and pane: a pane does not reach the next window.
    const ofWindow = getOrCreate(ofResolution, row.windowStart * 1_000 + row.pane);
    const id = series.idOf(row);
    ofWindow.set(id, { series: id, row });
  }
  const newest = new Map<number, readonly StagedRow[]>();
  for (const [resolutionMs, ofResolution] of windows) {
    newest.set(
      resolutionMs,
      [...ofResolution].sort(([a], [b]) => a - b).flatMap(([, ofWindow]) => [...ofWindow.values()]),
    );
  }
  return newest;
}

function getOrCreate<V>(map: Map<number, Map<number, V>>, key: number): Map<number, V> {
  const present = map.get(key);
  if (present !== undefined) return present;
  const created = new Map<number, V>();
  map.set(key, created);
  return created;
}
