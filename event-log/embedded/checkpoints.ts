import pLimit from 'p-limit';
import { checkCheckpointSize } from '../checkpoint-limit.ts';
import { withDeadline } from '../deadline.ts';
import { EventLogFullError, UnknownPartitionError } from '../errors.ts';
import { CheckpointKeys } from './keys.ts';
import type { Store, StoreWrite } from './store.ts';

const KEPT = 2;
const MAX_WAITING = 1_024;
const MAX_PARTITION = 0xffff;

/** The newest checkpoints of each consumer group and partition, under numbers that only grow. */
export class Checkpoints {
  readonly #store: Store;
  readonly #timeoutMs: number;
  /** One in each transaction, however many partitions are saved at once: appends wait for no more than one. */
  readonly #turns = pLimit(1);

  /** A checkpoint that is not durable after `timeoutMs` is rejected. */
  constructor(store: Store, timeoutMs: number) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves once the checkpoint is durable; only it and the one before are kept then. */
  async save(group: string, partition: number, checkpoint: Uint8Array): Promise<void> {
    checkPartition(partition);
    checkCheckpointSize(checkpoint);
    if (this.#turns.pendingCount === MAX_WAITING) {
      throw new EventLogFullError(`${MAX_WAITING} checkpoints are waiting to be written`);
    }
    let pending: Uint8Array | undefined = checkpoint;
    const saved = this.#turns(async () => {
      if (pending !== undefined) await this.#write(new CheckpointKeys(group, partition), pending);
    });
    try {
      await withDeadline(saved, this.#timeoutMs, `a checkpoint was not durable within ${this.#timeoutMs} ms`);
    } finally {
      // Nobody waits for it any more, and it may be large.
      pending = undefined;
    }
  }

  /** Newest first. */
  load(group: string, partition: number): Buffer[] {
    checkPartition(partition);
    return this.#newestFirst(new CheckpointKeys(group, partition)).flatMap((key) => {
      const value = this.#store.get(key);
      return value === undefined ? [] : [value];
    });
  }

  /** Waits for the checkpoint that is being written. */
  async close(): Promise<void> {
    await this.#turns(() => undefined);
  }

  async #write(keys: CheckpointKeys, checkpoint: Uint8Array): Promise<void> {
    const stored = this.#newestFirst(keys);
    const newest = stored[0];
    const key = keys.of(newest === undefined ? 0n : keys.numberOf(newest) + 1n);
    const value = Buffer.from(checkpoint.buffer, checkpoint.byteOffset, checkpoint.byteLength);
    const removals = stored.slice(KEPT - 1).map((old): StoreWrite => ({ kind: 'remove', key: old }));
    await this.#store.write([{ kind: 'put', key, value }, ...removals], 'growth');
  }

  #newestFirst(keys: CheckpointKeys): Buffer[] {
    return this.#store.keys({ start: keys.last, end: keys.first, reverse: true, limit: KEPT + 1 });
  }
}

function checkPartition(partition: number): void {
  if (Number.isInteger(partition) && partition >= 0 && partition <= MAX_PARTITION) return;
  throw new UnknownPartitionError(`there are partitions 0 to ${MAX_PARTITION}, not ${partition}`);
}
