import { expect, vi } from 'vitest';
import type { Commit, ConsumeOptions, Consumer, EventLog, LogRecord, RecordBatch } from '../event-log.ts';
import { PATIENCE } from './numbers.contract.ts';

export interface ReadOptions {
  readonly group?: string;
  /** Runs before the batch counts as handled. */
  before?(batch: RecordBatch): Promise<void>;
  commitOf?(batch: RecordBatch): Commit;
  /** Where to start, given what is committed. */
  startAt?(
    partition: number,
    committed: Commit | undefined,
  ): bigint | undefined | Promise<bigint | undefined>;
  readonly isEphemeral?: boolean;
}

interface KeptRecord {
  readonly offset: bigint;
  readonly logTime: number;
  readonly key: string;
  readonly value: Buffer;
}

/** A consumer that keeps a copy of everything it was given. */
export class Reading {
  readonly assigned = new Map<number, Commit | undefined>();
  readonly owned = new Set<number>();
  readonly batches: RecordBatch[] = [];
  readonly errors: Error[] = [];
  readonly #records = new Map<number, KeptRecord[]>();
  #consumer: Consumer | undefined;

  async start(log: EventLog, topic: string, group: string, read: ReadOptions): Promise<void> {
    const options: ConsumeOptions = {
      topic,
      group,
      ...(read.isEphemeral === undefined ? {} : { isEphemeral: read.isEphemeral }),
      onAssigned: (partition, committed) => {
        this.assigned.set(partition, committed);
        this.owned.add(partition);
        return read.startAt?.(partition, committed);
      },
      onRevoked: (partition) => void this.owned.delete(partition),
      onBatch: async (batch) => {
        await read.before?.(batch);
        this.batches.push(batch);
        this.#keep(batch);
        return read.commitOf?.(batch);
      },
      onError: (error) => void this.errors.push(error),
    };
    this.#consumer = await log.consume(options);
  }

  get count(): number {
    return [...this.#records.values()].reduce((sum, records) => sum + records.length, 0);
  }

  of(partition: number): readonly KeptRecord[] {
    return this.#records.get(partition) ?? [];
  }

  async until(count: number): Promise<void> {
    await vi.waitFor(() => expect(this.count).toBeGreaterThanOrEqual(count), PATIENCE);
  }

  async close(): Promise<void> {
    await this.#consumer?.close();
    this.owned.clear();
  }

  #keep({ partition, records }: RecordBatch): void {
    const kept = this.#records.get(partition) ?? [];
    this.#records.set(partition, kept);
    for (const record of records) kept.push(copyOf(record));
  }
}

function copyOf({ offset, logTime, key, value }: LogRecord): KeptRecord {
  return { offset, logTime, key: key.toString('utf8'), value: Buffer.from(value) };
}
