import { type DuckDBConnection, DuckDBDataChunk, INTEGER, VARCHAR } from '@duckdb/node-api';
import type { Series } from '../metric-store.ts';

interface Registered extends Series {
  readonly id: number;
}

const CHUNK_ROWS = 2_048;

/**
 * The number that stands for a series in the row tables. The only writer keeps the whole register in memory, and
 * stores new series in the transaction that stores their first rows.
 */
export class SeriesRegister {
  /** metric -> device -> id. */
  readonly #ids = new Map<string, Map<string, number>>();
  #nextId = 0;
  #fresh: Registered[] = [];

  static async load(connection: DuckDBConnection): Promise<SeriesRegister> {
    const register = new SeriesRegister();
    const stored = await connection.runAndReadAll('SELECT id, device, metric FROM series');
    for (const [id, device, metric] of stored.getRows()) {
      register.#set(String(metric), String(device), Number(id));
      register.#nextId = Math.max(register.#nextId, Number(id) + 1);
    }
    return register;
  }

  /** The id of a series; one that was not seen before is stored by the next `storeFresh`. */
  idOf({ deviceId, metric }: Series): number {
    const known = this.#ids.get(metric)?.get(deviceId);
    if (known !== undefined) return known;
    const id = this.#nextId++;
    this.#set(metric, deviceId, id);
    this.#fresh.push({ id, deviceId, metric });
    return id;
  }

  /** Stores new series within the current transaction. */
  async storeFresh(connection: DuckDBConnection): Promise<void> {
    if (this.#fresh.length === 0) return;
    const appender = await connection.createAppender('series');
    for (let from = 0; from < this.#fresh.length; from += CHUNK_ROWS) {
      const part = this.#fresh.slice(from, from + CHUNK_ROWS);
      const chunk = DuckDBDataChunk.create([INTEGER, VARCHAR, VARCHAR], part.length);
      chunk.setColumns([
        part.map(({ id }) => id),
        part.map(({ deviceId }) => deviceId),
        part.map(({ metric }) => metric),
      ]);
      appender.appendDataChunk(chunk);
    }
    appender.flushSync();
    appender.closeSync();
  }

  /** The transaction was committed. */
  committed(): void {
    this.#fresh = [];
  }

  /** The transaction was rolled back: what it would have added is unknown again. */
  rolledBack(): void {
    for (const { deviceId, metric } of this.#fresh) this.#forget(metric, deviceId);
    this.#fresh = [];
  }

  /** Deletes every series without a row in any of the tables; call it while no commit is in flight. */
  async deleteRowless(connection: DuckDBConnection, tables: readonly string[]): Promise<number> {
    const used = tables.map((table) => `SELECT series FROM ${table}`).join(' UNION ALL ');
    const deleted = await connection.runAndReadAll(
      `DELETE FROM series WHERE id NOT IN (SELECT DISTINCT series FROM (${used})) RETURNING device, metric`,
    );
    const rows = deleted.getRows();
    for (const [device, metric] of rows) this.#forget(String(metric), String(device));
    return rows.length;
  }

  #set(metric: string, deviceId: string, id: number): void {
    const devices = this.#ids.get(metric);
    if (devices === undefined) this.#ids.set(metric, new Map([[deviceId, id]]));
    else devices.set(deviceId, id);
  }

  #forget(metric: string, deviceId: string): void {
    const devices = this.#ids.get(metric);
    devices?.delete(deviceId);
    if (devices?.size === 0) this.#ids.delete(metric);
  }
}
