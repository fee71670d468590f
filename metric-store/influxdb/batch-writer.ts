import type { RowsRefusedError } from '../errors.ts';
import { MetricStoreUnavailableError } from '../errors.ts';
import type { WindowAggregate } from '../metric-store.ts';
import type { HttpAnswer, HttpClient } from './http-client.ts';
import { encodeBatches } from './line-protocol.ts';
import { RecentHours } from './recent-hours.ts';
import { policyName } from './schema.ts';

export interface BatchWriterOptions {
  readonly http: HttpClient;
  readonly database: string;
  /** Creates the database and its retention policies again; called when they are gone. */
  readonly recreate: () => Promise<void>;
}

/** A row of a write, and where it stood in it. */
export interface IndexedRow {
  readonly index: number;
  readonly row: WindowAggregate;
}

/** What the rows of a write have in common. */
export interface WriteCall {
  readonly resolutionMs: number;
  /** Abandons it. */
  readonly signal: AbortSignal | undefined;
}

type Refused = RowsRefusedError['refused'];

/** InfluxDB's default `max-body-size` is 25 MB. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Writes rows of one resolution, and finds out which of them InfluxDB does not take. */
export class BatchWriter {
  readonly #options: BatchWriterOptions;
  readonly #recent = new RecentHours();

  constructor(options: BatchWriterOptions) {
    this.#options = options;
  }

  /** Resolves with the rows that can never be stored once all others are. Rejects with `MetricStoreError` or the signal's reason. */
  async write(call: WriteCall, rows: readonly IndexedRow[]): Promise<Refused> {
    const refused: Refused[number][] = [];
    const plain = rows.map(({ row }) => row);
    for (const { from, to, body } of encodeBatches(plain, MAX_BODY_BYTES)) {
      const answer = await this.#sendSafely(call, plain.slice(from, to), body);
      if (answer.status === 204) continue;
      refused.push(...(await this.#sortOut(call, rows.slice(from, to), answer)));
    }
    return refused;
  }

  /**
   * A 400 (or 413) means that some rows were not taken; the others are stored. The same request would be answered
   * the same way, so the bad rows are found by writing ever smaller parts again.
   */
  async #sortOut(call: WriteCall, rows: readonly IndexedRow[], answer: HttpAnswer): Promise<Refused> {
    const reason = reasonOf(answer);
    const dropped = Number(/dropped=(\d+)$/.exec(reason)?.[1] ?? 0);
    if (rows.length === 1 || dropped === rows.length) return rows.map(({ index }) => ({ index, reason }));
    if (dropped > 0 && reason.includes('beyond retention policy')) {
      // What InfluxDB drops for this reason are the oldest rows.
      const byAge = [...rows].sort(
        (a, b) => a.row.windowStart - b.row.windowStart || a.row.pane - b.row.pane,
      );
      const expired = byAge.slice(0, dropped).map(({ index }) => ({ index, reason }));
      return [...expired, ...(await this.write(call, byAge.slice(dropped)))];
    }
    const half = Math.ceil(rows.length / 2);
    const left = await this.write(call, rows.slice(0, half));
    return [...left, ...(await this.write(call, rows.slice(half)))];
  }

  /** Sends the rows once more where InfluxDB may lose what it acknowledges, see `RecentHours`. */
  async #sendSafely(call: WriteCall, rows: readonly WindowAggregate[], body: Buffer): Promise<HttpAnswer> {
    try {
      const recentBefore = this.#recent.cover(rows);
      let answer = await this.#send(call, body);
      if (answer.status === 413) return answer;
      const recent = recentBefore && this.#recent.cover(rows);
      if (!recent) answer = await this.#send(call, body);
      this.#recent.add(rows);
      return answer;
    } catch (error) {
      this.#recent.clear();
      throw error;
    }
  }

  /** Resolves with 204, 400 or 413; rejects with `MetricStoreUnavailableError` for every other answer. */
  async #send(call: WriteCall, body: Buffer): Promise<HttpAnswer> {
    const answer = await this.#post(call, body);
    if (isTaken(answer)) return answer;
    if (!isGone(answer)) throw unavailable(answer);
    this.#recent.clear();
    await this.#options.recreate();
    const again = await this.#post(call, body);
    if (isTaken(again)) return again;
    throw unavailable(again);
  }

  #post({ resolutionMs, signal }: WriteCall, body: Buffer): Promise<HttpAnswer> {
    const query = new URLSearchParams({
      db: this.#options.database,
      rp: policyName(resolutionMs),
      precision: 'u',
    });
    return this.#options.http.send('POST', `/write?${query}`, body, signal);
  }
}

function isTaken({ status }: HttpAnswer): boolean {
  return status === 204 || status === 400 || status === 413;
}

/** The database is answered with 404, the retention policy with 500. */
function isGone({ text }: HttpAnswer): boolean {
  return text.includes('database not found') || text.includes('retention policy not found');
}

function unavailable(answer: HttpAnswer): MetricStoreUnavailableError {
  return new MetricStoreUnavailableError(`InfluxDB answered ${answer.status}: ${reasonOf(answer)}`);
}

/** InfluxDB's own words, if it is InfluxDB that answered. */
function reasonOf({ status, text }: HttpAnswer): string {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null && 'error' in answer) return String(answer.error);
  } catch {
    // Not JSON: a proxy's page, or an empty body.
  }
  return text.trim() || `status ${status}`;
}
