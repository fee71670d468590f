import pLimit, { type LimitFunction } from 'p-limit';
import type { Logger } from 'pino';
import { MetricStoreClosedError, MetricStoreUnavailableError } from '../errors.ts';
import type { MetricStore, Selection, Series, WindowAggregate } from '../metric-store.ts';
import { checkResolutions, type Resolution, requireResolution } from '../resolutions.ts';
import { admitRows, throwRefused } from '../row-admission.ts';
import { BatchWriter, type IndexedRow, type WriteCall } from './batch-writer.ts';
import { HttpClient } from './http-client.ts';
import { quoteName } from './influxql.ts';
import { QueryClient } from './query-client.ts';
import { readRows } from './row-reader.ts';
import { createSchema } from './schema.ts';
import { openWithin } from './start.ts';

export interface InfluxMetricStoreOptions {
  /** Of an InfluxDB 1.x, http or https. */
  readonly url: string;
  readonly database: string;
  readonly username?: string;
  readonly password?: string;
  readonly resolutions: readonly Resolution[];
  readonly logger: Logger;
  /** A request that takes longer fails as unavailable, ms. Default 10 s. */
  readonly requestTimeoutMs?: number;
  /** How long opening waits for an InfluxDB that is not there yet, ms. Default 60 s. */
  readonly startTimeoutMs?: number;
  /** Connections for writes and reads together. Default 8. */
  readonly maxConnections?: number;
  /** Write requests under way at once. Default 4. */
  readonly maxInFlight?: number;
  /** Rows that may be under way or waiting before writes are rejected as unavailable. Default 1,000,000. */
  readonly maxQueuedRows?: number;
  /** Reads that may run at once before further ones are rejected as unavailable. Default 32. */
  readonly maxConcurrentReads?: number;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
  /** The current time, ms since the epoch, for retention. Default the system clock. */
  readonly now?: () => number;
}

const ROWS_PER_REQUEST = 5_000;

/**
 * Opens the metric store in an InfluxDB 1.x, creating database and retention policies. Waits for an InfluxDB that
 * is not there yet. Rejects with `MetricStoreUnavailableError` when it stays away, `MetricStoreSchemaError` when it
 * will not do (wrong version, wrong credentials), the signal's reason, or `RangeError` for impossible resolutions.
 */
export async function openInfluxMetricStore(options: InfluxMetricStoreOptions): Promise<MetricStore> {
  checkResolutions(options.resolutions);
  const url = new URL(options.url);
  const requestTimeoutMs = options.requestTimeoutMs ?? 10_000;
  const credentials = {
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
  };
  const { database, resolutions, logger } = options;
  const maxConnections = options.maxConnections ?? 8;
  const http = new HttpClient({ url, ...credentials, requestTimeoutMs, maxConnections });
  const client = new QueryClient({ url, database, ...credentials, requestTimeoutMs, agent: http.agent });
  try {
    await openWithin(
      { http, logger, timeoutMs: options.startTimeoutMs ?? 60_000, signal: options.signal },
      () => createSchema(client, database, resolutions, logger),
    );
  } catch (error) {
    http.close();
    throw error;
  }
  return new InfluxMetricStore(http, client, options);
}

class InfluxMetricStore implements MetricStore {
  readonly #http: HttpClient;
  readonly #client: QueryClient;
  readonly #options: InfluxMetricStoreOptions;
  readonly #writer: BatchWriter;
  readonly #limit: LimitFunction;
  readonly #calls = new Set<Promise<unknown>>();
  #queuedRows = 0;
  #reads = 0;
  #recreating: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(http: HttpClient, client: QueryClient, options: InfluxMetricStoreOptions) {
    this.#http = http;
    this.#client = client;
    this.#options = options;
    this.#limit = pLimit(options.maxInFlight ?? 4);
    this.#writer = new BatchWriter({
      http,
      database: options.database,
      recreate: () => this.#recreate(),
    });
  }

  write(rows: readonly WindowAggregate[], signal?: AbortSignal): Promise<void> {
    return this.#track(() => this.#write(rows, signal));
  }

  async *read(selection: Selection): AsyncGenerator<readonly WindowAggregate[]> {
    this.#requireOpen();
    requireResolution(this.#options.resolutions, selection.resolutionMs);
    const limit = this.#options.maxConcurrentReads ?? 32;
    if (this.#reads >= limit) throw new MetricStoreUnavailableError(`${limit} reads are running already`);
    this.#reads++;
    try {
      const chunks = readRows(this.#client, this.#options.database, selection);
      for (;;) {
        const chunk = await this.#track(() => chunks.next());
        if (chunk.done) return;
        yield chunk.value;
      }
    } finally {
      this.#reads--;
    }
  }

  series(): Promise<readonly Series[]> {
    return this.#track(async () => {
      const database = quoteName(this.#options.database);
      const answer = await this.#client.query(`SHOW TAG VALUES ON ${database} WITH KEY = "device"`);
      const series = answer.flatMap(({ name, values }) =>
        values.map(([, device]) => ({ deviceId: String(device), metric: name })),
      );
      return series.sort((a, b) => compare(a.deviceId, b.deviceId) || compare(a.metric, b.metric));
    });
  }

  ping(): Promise<void> {
    return this.#track(async () => {
      const { status } = await this.#http.send('GET', '/ping');
      if (status !== 204) throw new MetricStoreUnavailableError(`InfluxDB answered a ping with ${status}`);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#calls);
    this.#http.close();
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new MetricStoreClosedError('the metric store is closed');
  }

  async #track<T>(call: () => Promise<T>): Promise<T> {
    this.#requireOpen();
    const running = call();
    this.#calls.add(running);
    try {
      return await running;
    } finally {
      this.#calls.delete(running);
    }
  }

  async #write(rows: readonly WindowAggregate[], signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const bound = this.#options.maxQueuedRows ?? 1_000_000;
    if (this.#queuedRows > 0 && this.#queuedRows + rows.length > bound) {
      const message = `${this.#queuedRows} rows are waiting to be stored; the bound is ${bound}`;
      throw new MetricStoreUnavailableError(message);
    }
    this.#queuedRows += rows.length;
    try {
      const now = this.#options.now ?? Date.now;
      const { admitted, indexes, refused } = admitRows(rows, this.#options.resolutions, now());
      const indexed = admitted.map((row, at) => ({ row, index: indexes?.[at] ?? at }));
      throwRefused([...refused, ...(await this.#send(indexed, signal))]);
    } finally {
      this.#queuedRows -= rows.length;
    }
  }

  async #send(rows: readonly IndexedRow[], signal: AbortSignal | undefined) {
    const requests: { readonly call: WriteCall; readonly rows: readonly IndexedRow[] }[] = [];
    for (const [resolutionMs, ofResolution] of byResolution(rows)) {
      const call = { resolutionMs, signal };
      for (let from = 0; from < ofResolution.length; from += ROWS_PER_REQUEST) {
        requests.push({ call, rows: ofResolution.slice(from, from + ROWS_PER_REQUEST) });
      }
    }
    // Settled, not all: nothing of this write may still be under way when it rejects.
    const outcomes = await Promise.allSettled(
      requests.map(({ call, rows }) => this.#limit(() => this.#writer.write(call, rows))),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
  }

  #recreate(): Promise<void> {
    const { database, resolutions, logger } = this.#options;
    this.#recreating ??= Promise.resolve()
      .then(() => logger.error({ database }, 'the database or a retention policy is gone; creating it again'))
      .then(() => createSchema(this.#client, database, resolutions, logger))
      .finally(() => {
        this.#recreating = undefined;
      });
    return this.#recreating;
  }
}

function byResolution(rows: readonly IndexedRow[]): Map<number, IndexedRow[]> {
  const groups = new Map<number, IndexedRow[]>();
  for (const indexed of rows) {
    const group = groups.get(indexed.row.resolutionMs);
    if (group === undefined) groups.set(indexed.row.resolutionMs, [indexed]);
    else group.push(indexed);
  }
  return groups;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
