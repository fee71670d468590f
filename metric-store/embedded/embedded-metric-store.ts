import type { DuckDBConnection } from '@duckdb/node-api';
import type { Logger } from 'pino';
import { MetricStoreClosedError, MetricStoreError, MetricStoreUnavailableError } from '../errors.ts';
import type { MetricStore, Selection, Series, WindowAggregate } from '../metric-store.ts';
import { checkResolutions, type Resolution, requireResolution } from '../resolutions.ts';
import { admitRows, throwRefused } from '../row-admission.ts';
import { type Database, openDatabase } from './database.ts';
import { deleteExpired } from './retention.ts';
import { commitRows } from './row-commit.ts';
import { readRows } from './row-reader.ts';
import { createStaging } from './row-staging.ts';
import { createSchema, listRowTables, rowTable } from './schema.ts';
import { SeriesRegister } from './series-register.ts';
import { WriteQueue } from './write-queue.ts';

export interface EmbeddedMetricStoreOptions {
  /** Created if it is missing. One process at a time may have it open. */
  readonly folder: string;
  readonly resolutions: readonly Resolution[];
  readonly logger: Logger;
  /** How often expired rows are looked for, ms. Default one minute. */
  readonly retentionIntervalMs?: number;
  /** Rows that may wait for a transaction before writes are rejected as unavailable. Default 1,000,000. */
  readonly maxQueuedRows?: number;
  /** Reads that may run at once before further ones are rejected as unavailable. Default 32. */
  readonly maxConcurrentReads?: number;
  /** Memory that DuckDB may use, bytes. Default 1 GiB. */
  readonly memoryLimitBytes?: number;
  /** Threads that DuckDB may use. Default 2. */
  readonly threads?: number;
  /** The current time, ms since the epoch, for retention. Default the system clock. */
  readonly now?: () => number;
}

/** A read between its first and its last chunk. */
interface OpenRead {
  /** Its last step, which may be settled already. */
  running: Promise<unknown>;
  connection: DuckDBConnection | undefined;
}

/** Merged writes of one transaction stop growing at this many rows. */
const MAX_ROWS_PER_COMMIT = 100_000;

/**
 * Opens the metric store that lives in a DuckDB file in this process. Rejects with `MetricStoreSchemaError` when the
 * file belongs to another process or cannot be read, with `RangeError` for impossible resolutions.
 */
export async function openEmbeddedMetricStore(options: EmbeddedMetricStoreOptions): Promise<MetricStore> {
  checkResolutions(options.resolutions);
  const database = await openDatabase({
    folder: options.folder,
    memoryLimitBytes: options.memoryLimitBytes ?? 2 ** 30,
    threads: options.threads ?? 2,
  });
  let connection: DuckDBConnection | undefined;
  try {
    connection = await database.instance.connect();
    const resolutionsMs = options.resolutions.map(({ resolutionMs }) => resolutionMs);
    await createSchema(connection, database.file, resolutionsMs);
    await createStaging(connection);
    await warnOfUnusedTables(connection, resolutionsMs, options.logger);
    return new EmbeddedMetricStore(database, connection, await SeriesRegister.load(connection), options);
  } catch (error) {
    connection?.disconnectSync();
    database.close();
    throw toStoreError('open', error);
  }
}

class EmbeddedMetricStore implements MetricStore {
  readonly #database: Database;
  readonly #connection: DuckDBConnection;
  readonly #options: EmbeddedMetricStoreOptions;
  readonly #now: () => number;
  readonly #queue: WriteQueue;
  readonly #series: SeriesRegister;
  readonly #reads = new Set<OpenRead>();
  readonly #calls = new Set<Promise<unknown>>();
  readonly #retention: NodeJS.Timeout;
  #expiring: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    database: Database,
    connection: DuckDBConnection,
    series: SeriesRegister,
    options: EmbeddedMetricStoreOptions,
  ) {
    this.#database = database;
    this.#connection = connection;
    this.#series = series;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#queue = new WriteQueue({
      commit: (rows) => this.#commit(rows),
      maxRowsPerCommit: MAX_ROWS_PER_COMMIT,
      maxQueuedRows: options.maxQueuedRows ?? 1_000_000,
    });
    this.#retention = setInterval(() => this.#expire(), options.retentionIntervalMs ?? 60_000);
    this.#retention.unref();
  }

  /** A transaction that waits or runs is not abandoned: it takes moments, and others' rows may be in it. */
  async write(rows: readonly WindowAggregate[], signal?: AbortSignal): Promise<void> {
    this.#requireOpen();
    signal?.throwIfAborted();
    const { admitted, refused } = admitRows(rows, this.#options.resolutions, this.#now());
    if (admitted.length > 0) await this.#queue.write(admitted);
    throwRefused(refused);
  }

  async *read(selection: Selection): AsyncGenerator<readonly WindowAggregate[]> {
    this.#requireOpen();
    requireResolution(this.#options.resolutions, selection.resolutionMs);
    if (selection.devices?.length === 0) return;
    const limit = this.#options.maxConcurrentReads ?? 32;
    if (this.#reads.size >= limit)
      throw new MetricStoreUnavailableError(`${limit} reads are running already`);
    const connecting = this.#database.instance.connect();
    const read: OpenRead = { running: connecting, connection: undefined };
    this.#reads.add(read);
    try {
      const connection = await connecting;
      read.connection = connection;
      const chunks = readRows(connection, selection);
      for (;;) {
        this.#requireOpen();
        const step = chunks.next();
        read.running = step;
        const chunk = await step;
        if (chunk.done) return;
        yield chunk.value;
      }
    } catch (error) {
      throw toStoreError('read', error);
    } finally {
      if (this.#reads.delete(read)) read.connection?.disconnectSync();
    }
  }

  async series(): Promise<readonly Series[]> {
    this.#requireOpen();
    const rows = await this.#query('SELECT device, metric FROM series ORDER BY device, metric');
    return rows.map(([device, metric]) => ({ deviceId: String(device), metric: String(metric) }));
  }

  async ping(): Promise<void> {
    this.#requireOpen();
    await this.#query('SELECT 1');
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#retention);
    await this.#queue.close();
    await this.#expiring;
    await Promise.allSettled(this.#calls);
    for (const read of this.#reads) {
      await Promise.allSettled([read.running]);
      // A read that was left hanging may never come back to do it.
      if (this.#reads.delete(read)) read.connection?.disconnectSync();
    }
    this.#connection.disconnectSync();
    this.#database.close();
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new MetricStoreClosedError('the metric store is closed');
  }

  async #commit(rows: readonly WindowAggregate[]): Promise<void> {
    try {
      await commitRows(this.#connection, this.#series, rows);
    } catch (error) {
      throw toStoreError('write', error);
    }
  }

  async #query(sql: string): Promise<unknown[][]> {
    const call = queryOnce(this.#database, sql);
    this.#calls.add(call);
    try {
      return await call;
    } catch (error) {
      throw toStoreError('query', error);
    } finally {
      this.#calls.delete(call);
    }
  }

  #expire(): void {
    this.#expiring ??= this.#deleteExpired().finally(() => {
      this.#expiring = undefined;
    });
  }

  async #deleteExpired(): Promise<void> {
    const { resolutions, logger } = this.#options;
    try {
      const deleted = await deleteExpired({
        connection: this.#connection,
        queue: this.#queue,
        series: this.#series,
        resolutions,
        now: this.#now,
      });
      if (deleted > 0) logger.info({ deleted }, 'deleted rows beyond their retention');
    } catch (error) {
      if (!(error instanceof MetricStoreClosedError)) logger.error({ err: error }, 'retention failed');
    }
  }
}

async function queryOnce(database: Database, sql: string): Promise<unknown[][]> {
  const connection = await database.instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRows();
  } finally {
    connection.disconnectSync();
  }
}

async function warnOfUnusedTables(
  connection: DuckDBConnection,
  resolutionsMs: readonly number[],
  logger: Logger,
): Promise<void> {
  const used = new Set(resolutionsMs.map(rowTable));
  const unused = (await listRowTables(connection)).filter((table) => !used.has(table));
  if (unused.length > 0)
    logger.warn({ tables: unused }, 'rows of resolutions that are not configured are kept');
}

function toStoreError(call: string, error: unknown): Error {
  if (error instanceof MetricStoreError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new MetricStoreUnavailableError(`${call} failed: ${reason}`, { cause: error });
}
