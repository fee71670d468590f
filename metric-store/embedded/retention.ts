import type { DuckDBConnection } from '@duckdb/node-api';
import type { Resolution } from '../resolutions.ts';
import { listRowTables, rowTable } from './schema.ts';
import type { SeriesRegister } from './series-register.ts';
import type { WriteQueue } from './write-queue.ts';

/** At most this many rows are deleted before waiting writes get their turn. */
const ROWS_PER_STEP = 100_000;

export interface RetentionOptions {
  readonly connection: DuckDBConnection;
  readonly queue: WriteQueue;
  readonly series: SeriesRegister;
  readonly resolutions: readonly Resolution[];
  /** The current time, ms since the epoch. */
  readonly now: () => number;
}

/**
 * Deletes the rows that are older than their retention, in steps between commits, then the series that have no
 * row left. Resolves with the number of rows deleted.
 */
export async function deleteExpired(options: RetentionOptions): Promise<number> {
  let deleted = 0;
  for (const { resolutionMs, retentionMs } of options.resolutions) {
    if (retentionMs === undefined) continue;
    const before = options.now() - retentionMs;
    for (;;) {
      const rows = await options.queue.exclusively(() => deleteStep(options, resolutionMs, before));
      deleted += rows;
      if (rows < ROWS_PER_STEP) break;
    }
  }
  if (deleted > 0) await options.queue.exclusively(() => deleteRowlessSeries(options));
  return deleted;
}

async function deleteStep(options: RetentionOptions, resolutionMs: number, before: number): Promise<number> {
  const table = rowTable(resolutionMs);
  const deleted = await options.connection.run(
    `DELETE FROM ${table} WHERE rowid IN
      (SELECT rowid FROM ${table} WHERE window_start < ${Math.ceil(before)} LIMIT ${ROWS_PER_STEP})`,
  );
  return deleted.rowsChanged;
}

async function deleteRowlessSeries({ connection, series }: RetentionOptions): Promise<void> {
  await series.deleteRowless(connection, await listRowTables(connection));
}
