import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { MetricStoreSchemaError, MetricStoreUnavailableError } from '../errors.ts';

const FILE_NAME = 'aggregates.duckdb';

/** DuckDB's file lock does not hold between two opens of one process, so these are remembered here. */
const openFiles = new Set<string>();

export interface DatabaseOptions {
  readonly folder: string;
  readonly memoryLimitBytes: number;
  readonly threads: number;
}

/** An open database file; this process is its only owner until `close`. */
export interface Database {
  readonly file: string;
  readonly instance: DuckDBInstance;
  /** Every connection must have been closed before. */
  close(): void;
}

/**
 * Opens, and creates if need be, the database file in a folder. Rejects with `MetricStoreSchemaError` when another
 * store has it open or when it is no database that this version reads.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  await mkdir(options.folder, { recursive: true });
  const file = join(await realpath(options.folder), FILE_NAME);
  if (openFiles.has(file)) {
    throw new MetricStoreSchemaError(`${file} is already open in this process (PID ${process.pid})`);
  }
  openFiles.add(file);
  try {
    const instance = await createInstance(file, options);
    return {
      file,
      instance,
      close() {
        instance.closeSync();
        openFiles.delete(file);
      },
    };
  } catch (error) {
    openFiles.delete(file);
    throw error;
  }
}

async function createInstance(file: string, options: DatabaseOptions): Promise<DuckDBInstance> {
  try {
    return await DuckDBInstance.create(file, {
      memory_limit: `${options.memoryLimitBytes} B`,
      threads: `${options.threads}`,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
  } catch (cause) {
    throw openError(file, cause);
  }
}

function openError(file: string, cause: unknown): Error {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/could not set lock/i.test(message)) {
    const owner = /\(PID \d+\)/.exec(message)?.[0] ?? '(PID unknown)';
    return new MetricStoreSchemaError(`${file} belongs to another process ${owner}`, { cause });
  }
  if (/not a valid DuckDB database|version number|newer version|serializ/i.test(message)) {
    return new MetricStoreSchemaError(`${file} cannot be read by this version: ${message}`, { cause });
  }
  return new MetricStoreUnavailableError(`${file} cannot be opened: ${message}`, { cause });
}
