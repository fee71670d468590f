import { randomUUID } from 'node:crypto';
import type { EventLog } from '../event-log.ts';
import { Reading, type ReadOptions } from './reading.contract.ts';
import type { EventLogStorage, OpenLogOptions } from './storage.contract.ts';

/** The largest record of the suite's topic, bytes. */
export const RECORD_BYTES = 64 * 1024;

/** What a test opens, closed again whatever happens. */
export class Bench {
  readonly topic = `contract-${randomUUID()}`;
  readonly group = `group-${randomUUID()}`;
  readonly storage: EventLogStorage;
  readonly #logs: EventLog[] = [];
  readonly #readings: Reading[] = [];

  constructor(storage: EventLogStorage) {
    this.storage = storage;
  }

  async open(options: Partial<OpenLogOptions> = {}): Promise<EventLog> {
    const topic = { name: this.topic, partitions: 3, retentionMs: 3_600_000, maxRecordBytes: RECORD_BYTES };
    const log = await this.storage.openLog({ topics: [topic], ...options });
    this.#logs.push(log);
    return log;
  }

  async read(log: EventLog, options: ReadOptions = {}): Promise<Reading> {
    const reading = new Reading();
    this.#readings.push(reading);
    await reading.start(log, this.topic, options.group ?? this.group, options);
    return reading;
  }

  async cleanUp(): Promise<void> {
    await this.storage.makeAvailable?.();
    await Promise.all(this.#readings.map((reading) => reading.close()));
    await Promise.all(this.#logs.map((log) => log.close()));
    await this.storage.cleanUp();
  }
}
