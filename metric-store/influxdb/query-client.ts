import type { Agent } from 'node:http';
import { InfluxDB } from 'influx';
import { MetricStoreUnavailableError } from '../errors.ts';
import { withDeadline } from './deadline.ts';

export interface QueryClientOptions {
  readonly url: URL;
  readonly database: string;
  readonly username?: string;
  readonly password?: string;
  readonly requestTimeoutMs: number;
  /** Lent; whoever made it destroys it. */
  readonly agent: Agent;
}

/** One series of an answer: a row has a value per column, null where there is none. */
export interface QuerySeries {
  readonly name: string;
  readonly columns: readonly string[];
  readonly values: readonly (readonly unknown[])[];
}

/** The client of the `influx` package takes its only host out of use after a failure, for as long as this says. */
const NO_BACKOFF = { getDelay: () => 0, next: () => NO_BACKOFF, reset: () => NO_BACKOFF };

/** InfluxQL over the `influx` package. */
export class QueryClient {
  readonly #influx: InfluxDB;
  readonly #options: QueryClientOptions;

  constructor(options: QueryClientOptions) {
    const { url, database, username, password, requestTimeoutMs, agent } = options;
    this.#options = options;
    this.#influx = new InfluxDB({
      host: url.hostname,
      port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
      protocol: url.protocol === 'https:' ? 'https' : 'http',
      path: url.pathname.replace(/\/$/, ''),
      options: { agent },
      database,
      ...(username === undefined ? {} : { username, password: password ?? '' }),
      pool: { maxRetries: 0, requestTimeout: requestTimeoutMs, backoff: NO_BACKOFF },
    });
  }

  /**
   * Runs one statement. Times are in microseconds. Rejects with `MetricStoreUnavailableError`, also when InfluxDB
   * answers an error, or only part of the result.
   */
  async query(statement: string): Promise<readonly QuerySeries[]> {
    const { database, requestTimeoutMs } = this.#options;
    // The client never settles when a response ends early, so the deadline is round the whole call.
    const answer: unknown = await withDeadline(requestTimeoutMs, (signal) =>
      this.#influx.queryRaw(statement, { database, precision: 'u', method: 'POST', signal }),
    );
    return parseAnswer(answer);
  }
}

function parseAnswer(answer: unknown): QuerySeries[] {
  if (!isObject(answer)) throw unexpected('the answer is no object');
  if (typeof answer.error === 'string') throw new MetricStoreUnavailableError(`InfluxDB: ${answer.error}`);
  const [result] = listOf(answer.results);
  if (!isObject(result)) throw unexpected('the answer has no result');
  if (typeof result.error === 'string') throw new MetricStoreUnavailableError(`InfluxDB: ${result.error}`);
  if (result.partial === true) throw partial();
  return listOf(result.series ?? []).map(parseSeries);
}

function parseSeries(series: unknown): QuerySeries {
  if (!isObject(series)) throw unexpected('a series is no object');
  if (series.partial === true) throw partial();
  return {
    name: String(series.name),
    columns: listOf(series.columns).map(String),
    values: listOf(series.values).map(listOf),
  };
}

/** With a `max-row-limit`, InfluxDB cuts answers off with no more than this mark. */
function partial(): Error {
  return new MetricStoreUnavailableError('InfluxDB cut its answer off: raise its max-row-limit');
}

function unexpected(what: string): Error {
  return new MetricStoreUnavailableError(`not an answer of InfluxDB: ${what}`);
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unexpected('a list is missing');
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
