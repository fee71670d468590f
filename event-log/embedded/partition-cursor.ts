import type { LogRecord } from '../event-log.ts';
import type { PartitionLog } from './partition-log.ts';
import type { BatchReader } from './stored-batch.ts';

const MAX_RECORDS = 1_000;
const MAX_BYTES = 1024 * 1024;

/** A position in a partition that moves over its durable records. */
export class PartitionCursor {
  readonly #log: PartitionLog;
  /** Called when records between two offsets are not there any more and the cursor goes on behind them. */
  readonly #onGap: (from: bigint, to: bigint) => void;
  #position: bigint;
  #reader: BatchReader | undefined;

  constructor(log: PartitionLog, position: bigint, onGap: (from: bigint, to: bigint) => void) {
    this.#log = log;
    this.#position = position;
    this.#onGap = onGap;
  }

  /** The offset of the next record. */
  get position(): bigint {
    return this.#position;
  }

  /**
   * The next records, up to 1,000 or about 1 MiB, whole or small stored batches alike; empty at the end. Throws
   * `DamagedBatchError` when there is nothing to return before the damage.
   */
  take(): LogRecord[] {
    const records: LogRecord[] = [];
    let bytes = 0;
    while (records.length < MAX_RECORDS && bytes < MAX_BYTES) {
      const record = this.#reader?.next();
      if (record !== undefined) {
        records.push(record);
        bytes += record.key.length + record.value.length;
        this.#position = record.offset + 1n;
      } else if (!this.#open(records.length > 0)) break;
    }
    return records;
  }

  #open(hasRecords: boolean): boolean {
    this.#reader = undefined;
    if (this.#position >= this.#log.endOffset) return false;
    try {
      this.#reader = this.#log.readFrom(this.#position);
    } catch (error) {
      // The records before the damage are delivered first; the next call meets it again.
      if (hasRecords) return false;
      throw error;
    }
    this.#closeGap(this.#reader?.nextOffset ?? this.#log.endOffset);
    return this.#reader !== undefined;
  }

  #closeGap(next: bigint): void {
    if (next <= this.#position) return;
    this.#onGap(this.#position, next);
    this.#position = next;
  }
}
