import type { DuckDBConnection } from '@duckdb/node-api';
import { MetricStoreSchemaError } from '../errors.ts';

const SCHEMA_VERSION = 1;

/** Columns of a row table. Numbers of an aggregate are exact in both directions: integers stay below 2^53. */
export const ROW_COLUMNS = [
  { name: 'series', type: 'INTEGER' },
  { name: 'window_start', type: 'BIGINT' },
  { name: 'pane', type: 'BIGINT' },
  { name: 'count', type: 'BIGINT' },
  { name: 'sum', type: 'DOUBLE' },
  { name: 'min', type: 'DOUBLE' },
  { name: 'max', type: 'DOUBLE' },
  { name: 'first', type: 'DOUBLE' },
  { name: 'first_at', type: 'BIGINT' },
  { name: 'last', type: 'DOUBLE' },
  { name: 'last_at', type: 'BIGINT' },
  { name: 'm2', type: 'DOUBLE' },
] as const;

const ROW_TABLE = /^rows_(\d+)_ms$/;

/** The table of one resolution's rows. There is no key: identity is kept by the only writer, see `row-commit.ts`. */
export function rowTable(resolutionMs: number): string {
  return `rows_${resolutionMs}_ms`;
}

/** Creates what is missing. Rejects with `MetricStoreSchemaError` for a file of another schema version. */
export async function createSchema(
  connection: DuckDBConnection,
  file: string,
  resolutionsMs: readonly number[],
): Promise<void> {
  await connection.run('BEGIN');
  await connection.run('CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)');
  const versions = (await connection.runAndReadAll('SELECT version FROM schema_version')).getRows();
  const found = versions[0]?.[0];
  if (found === undefined) await connection.run(`INSERT INTO schema_version VALUES (${SCHEMA_VERSION})`);
  else if (found !== SCHEMA_VERSION) {
    throw new MetricStoreSchemaError(
      `${file} has schema version ${found}; this version reads ${SCHEMA_VERSION}`,
    );
  }
  await connection.run(
    'CREATE TABLE IF NOT EXISTS series (id INTEGER NOT NULL, device VARCHAR NOT NULL, metric VARCHAR NOT NULL)',
  );
  const columns = ROW_COLUMNS.map(({ name, type }) => `"${name}" ${type} NOT NULL`).join(', ');
  for (const resolutionMs of resolutionsMs) {
    await connection.run(
      `CREATE TABLE IF NOT EXISTS ${rowTable(resolutionMs)} (${columns}, distribution BLOB)`,
    );
  }
  await connection.run('COMMIT');
}

/** All row tables of the file, also those of resolutions that are no longer configured. */
export async function listRowTables(connection: DuckDBConnection): Promise<string[]> {
  const found = await connection.runAndReadAll('SELECT table_name FROM duckdb_tables() WHERE NOT temporary');
  return found
    .getRows()
    .map(([name]) => String(name))
    .filter((name) => ROW_TABLE.test(name));
}
