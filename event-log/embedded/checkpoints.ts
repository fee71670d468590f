import { CheckpointKeys } from './keys.ts';
import type { Store, StoreWrite } from './store.ts';

const KEPT = 2;

/** The newest checkpoints of each consumer group and partition, under numbers that only grow. */
export class Checkpoints {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves once the checkpoint is durable; only it and the one before are kept then. */
  async save(group: string, partition: number, checkpoint: Uint8Array): Promise<void> {
    const keys = new CheckpointKeys(group, partition);
    const stored = this.#newestFirst(keys);
    const newest = stored[0];
    const key = keys.of(newest === undefined ? 0n : keys.numberOf(newest) + 1n);
    const value = Buffer.from(checkpoint.buffer, checkpoint.byteOffset, checkpoint.byteLength);
    const removals = stored.slice(KEPT - 1).map((old): StoreWrite => ({ kind: 'remove', key: old }));
    await this.#store.write([{ kind: 'put', key, value }, ...removals], 'growth');
  }

  /** Newest first. */
  load(group: string, partition: number): Buffer[] {
    return this.#newestFirst(new CheckpointKeys(group, partition)).flatMap((key) => {
      const value = this.#store.get(key);
      return value === undefined ? [] : [value];
    });
  }

  #newestFirst(keys: CheckpointKeys): Buffer[] {
    return this.#store.keys({ start: keys.last, end: keys.first, reverse: true, limit: KEPT + 1 });
  }
}
