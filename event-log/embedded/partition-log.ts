import type { PendingAppend } from '../group-commit.ts';
import { DamagedBatchError } from './damaged-batch-error.ts';
import { BatchKeys, type BatchPosition, floorKey } from './keys.ts';
import type { KeyRange, Store, StoreWrite } from './store.ts';
import { BatchReader, decodeHeader, encodeBatch } from './stored-batch.ts';

/** A batch that was given its place in the partition and is not durable yet. */
export interface StagedBatch {
  readonly write: StoreWrite;
  readonly baseOffset: bigint;
  readonly count: number;
  readonly logTime: number;
}

const FLOOR_BYTES = 16;

/** One partition: its end, its stored batches, and who waits for more. */
export class PartitionLog {
  readonly topic: string;
  readonly partition: number;
  readonly #store: Store;
  readonly #keys: BatchKeys;
  #endOffset = 0n;
  #lastLogTime = 0;
  readonly #waiting = new Set<() => void>();

  /** Reads the end of the partition from the store. Throws `DamagedBatchError`. */
  constructor(store: Store, topic: string, partition: number) {
    this.#store = store;
    this.topic = topic;
    this.partition = partition;
    this.#keys = new BatchKeys(topic, partition);
    this.restore();
  }

  /** The offset that the next durable record gets. */
  get endOffset(): bigint {
    return this.#endOffset;
  }

  /** Gives records their offsets and log time. Nothing changes until `advance`. */
  stage(records: readonly PendingAppend[], now: number): StagedBatch {
    const baseOffset = this.#endOffset;
    const logTime = Math.max(this.#lastLogTime, Math.floor(now));
    const key = this.#keys.of({ baseOffset, logTime });
    const value = encodeBatch(baseOffset, logTime, records);
    return { write: { kind: 'put', key, value }, baseOffset, count: records.length, logTime };
  }

  /** The staged batch is durable: moves the end and wakes those who wait. */
  advance({ baseOffset, count, logTime }: StagedBatch): void {
    this.#moveEnd(baseOffset + BigInt(count), logTime);
  }

  /** Reads the end of the partition from the store. Throws `DamagedBatchError`. */
  restore(): void {
    const floor = this.#store.get(floorKey(this.topic, this.partition));
    if (floor !== undefined) {
      this.#endOffset = floor.readBigUInt64BE(0);
      this.#lastLogTime = Number(floor.readBigUInt64BE(8));
    }
    const last = this.#position({
      start: this.#keys.last,
      end: this.#keys.first,
      reverse: true,
      limit: 1,
    });
    if (last === undefined || last.baseOffset < this.#endOffset) return;
    const { count } = this.#decode(last, decodeHeader);
    this.#moveEnd(last.baseOffset + BigInt(count), last.logTime);
  }

  /** Resolves when the partition's end is beyond an offset, or when the signal aborts. */
  beyond(offset: bigint, signal: AbortSignal): Promise<void> {
    if (this.#endOffset > offset || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        if (this.#endOffset <= offset && !signal.aborted) return;
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  /** The batch that holds an offset, or the first one after it; undefined at the end. Throws `DamagedBatchError`. */
  readFrom(offset: bigint): BatchReader | undefined {
    const holding = this.#open(
      this.#position({ start: this.#keys.lastAt(offset), end: this.#keys.first, reverse: true, limit: 1 }),
    );
    if (holding !== undefined && holding.endOffset > offset) {
      holding.skipTo(offset);
      return holding;
    }
    return this.#open(this.#position({ start: this.#keys.lastAt(offset), end: this.#keys.last, limit: 1 }));
  }

  /** The offset of the first record that is present; the end offset when there is none. */
  firstOffset(): bigint {
    const first = this.#position({ start: this.#keys.first, end: this.#keys.last, limit: 1 });
    return first?.baseOffset ?? this.#endOffset;
  }

  /** The first offset whose log time is not before a time, ms since the epoch; the end offset when there is none. */
  offsetAt(logTime: number): bigint {
    let low = this.firstOffset();
    let high = this.#endOffset;
    // Log time grows with the offset: below `low` it is before the time, at `high` it is not.
    while (low < high) {
      const middle = (low + high) / 2n;
      const batch = this.#position({
        start: this.#keys.lastAt(middle),
        end: this.#keys.first,
        reverse: true,
        limit: 1,
      });
      if (batch === undefined || batch.logTime < logTime) low = middle + 1n;
      else high = batch.baseOffset;
    }
    return low;
  }

  /** The writes that remove the oldest batches whose log time is below `before`, at most `limit` of them. */
  expire(before: number, limit: number): readonly StoreWrite[] {
    const keys = this.#store.keys({ start: this.#keys.first, end: this.#keys.last, limit });
    const young = keys.findIndex((key) => this.#keys.positionOf(key).logTime >= before);
    const expired = young === -1 ? keys : keys.slice(0, young);
    if (expired.length === 0) return [];
    const removals = expired.map((key): StoreWrite => ({ kind: 'remove', key }));
    // The last batch told the end of the partition: what continues there must not depend on its presence.
    return [...removals, this.#floor()];
  }

  #floor(): StoreWrite {
    const value = Buffer.allocUnsafe(FLOOR_BYTES);
    value.writeBigUInt64BE(this.#endOffset, 0);
    value.writeBigUInt64BE(BigInt(this.#lastLogTime), 8);
    return { kind: 'put', key: floorKey(this.topic, this.partition), value };
  }

  #moveEnd(endOffset: bigint, logTime: number): void {
    this.#endOffset = endOffset;
    this.#lastLogTime = logTime;
    for (const wake of this.#waiting) wake();
  }

  #position(range: KeyRange): BatchPosition | undefined {
    const [key] = this.#store.keys(range);
    return key === undefined ? undefined : this.#keys.positionOf(key);
  }

  #open(position: BatchPosition | undefined): BatchReader | undefined {
    return position === undefined ? undefined : this.#decode(position, (bytes) => new BatchReader(bytes));
  }

  #decode<T>(position: BatchPosition, decode: (bytes: Buffer) => T): T {
    try {
      return decode(this.#store.get(this.#keys.of(position)) ?? Buffer.alloc(0));
    } catch (cause) {
      throw new DamagedBatchError(this.topic, this.partition, position.baseOffset, { cause });
    }
  }
}
