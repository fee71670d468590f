import type { Commit, ConsumeOptions } from '../event-log.ts';
import { pause } from './deadline.ts';

/** What the owner of partitions is told, and how it learns where its group stands. */
export interface OwnershipCallbacks {
  readonly onAssigned: ConsumeOptions['onAssigned'];
  /**
   * Makes reading start at the offset that the owner has chosen, or at the committed one; tells which is then the first
   * to be fetched. `undefined`: reading starts there anyway.
   */
  readonly startAt: (
    partition: number,
    chosen: bigint | undefined,
    committed: Commit | undefined,
  ) => Promise<bigint | undefined>;
  readonly onRevoked: (partition: number) => void;
  readonly onError: (error: unknown) => void;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

/**
 * One partition while it is owned in one generation of the group: from `onAssigned` over its batches to
 * `onRevoked`, none of them overlapping another, nor anything of an earlier ownership of the partition.
 */
export class OwnedPartition {
  readonly partition: number;
  readonly #callbacks: OwnershipCallbacks;
  readonly #abort = new AbortController();
  #announced = false;
  #closing = false;
  #busy: Promise<void>;
  #restart: () => Promise<void> = async () => {};
  /** Where the first batch must have been fetched from; undefined once that was, and when it does not matter. */
  #start: bigint | undefined;
  #logTime = Number.NEGATIVE_INFINITY;

  /** `previous` resolves when an earlier ownership is over; `committed` reads the group's position. */
  constructor(
    partition: number,
    previous: Promise<void>,
    committed: (partition: number) => Promise<Commit | undefined>,
    callbacks: OwnershipCallbacks,
  ) {
    this.partition = partition;
    this.#callbacks = callbacks;
    this.#busy = previous.then(() => this.#announce(committed));
  }

  /** Aborts when the partition is lost or the consumer closes. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * Whether a batch that was fetched from this offset continues what was delivered. Before the first one is delivered,
   * kafkajs may have fetched from elsewhere; then the start is asked for again.
   */
  async accepts(fetchedFrom: bigint): Promise<boolean> {
    if (this.#start === undefined) return true;
    if (fetchedFrom !== this.#start) {
      await this.#restart();
      return false;
    }
    this.#start = undefined;
    return true;
  }

  /** Log time so far: brokers' clocks may step back, log time may not. */
  advanceLogTime(timestamp: number): number {
    if (timestamp > this.#logTime) this.#logTime = timestamp;
    return this.#logTime;
  }

  /** Runs `work` after whatever is under way for the partition, unless the partition is given up meanwhile. */
  run(work: () => Promise<void>): Promise<void> {
    const done = this.#busy.then(() => (this.#abort.signal.aborted ? undefined : work()));
    this.#busy = done.catch(() => {});
    return done;
  }

  /** The partition is not owned any more. Resolves once its handler has returned and `onRevoked` was called. */
  async revoke(): Promise<void> {
    this.#abort.abort();
    await this.#busy;
    if (!this.#announced || this.#closing) return;
    this.#announced = false;
    try {
      this.#callbacks.onRevoked(this.partition);
    } catch (error) {
      this.#callbacks.onError(error);
    }
  }

  /** The consumer is closing: still owned, so what the handler returns counts and `onRevoked` is not called. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#abort.abort();
    await this.#busy;
  }

  async #announce(committed: (partition: number) => Promise<Commit | undefined>): Promise<void> {
    const { partition } = this;
    const { onAssigned, startAt } = this.#callbacks;
    let position: Commit | undefined;
    let chosen: bigint | undefined;
    await this.#untilDone(async () => {
      position = await committed(partition);
      if (this.signal.aborted) return;
      this.#announced = true;
      chosen = await onAssigned(partition, position);
    });
    this.#restart = () =>
      this.#untilDone(async () => {
        this.#start = await startAt(partition, chosen, position);
      });
    await this.#restart();
  }

  async #untilDone(action: () => Promise<void>): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.signal.aborted) {
      try {
        return await action();
      } catch (error) {
        this.#callbacks.onError(error);
        await pause(retryMs, this.signal);
        retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
      }
    }
  }
}

/** The partitions that a consumer owns in one generation of its group. */
export class Assignment {
  readonly #owned: ReadonlyMap<number, OwnedPartition>;
  #lost: { readonly reason: unknown } | undefined;

  constructor(owned: Iterable<OwnedPartition>) {
    this.#owned = new Map([...owned].map((partition) => [partition.partition, partition]));
  }

  partition(partition: number): OwnedPartition | undefined {
    return this.#owned.get(partition);
  }

  /** Why the partitions are not owned any more; `undefined` while they are. */
  get lost(): { readonly reason: unknown } | undefined {
    return this.#lost;
  }

  /** Gives every partition up; returns for each when that is complete. Idempotent. */
  lose(reason: unknown): Map<number, Promise<void>> {
    if (this.#lost !== undefined) return new Map();
    this.#lost = { reason };
    return new Map([...this.#owned].map(([partition, owned]) => [partition, owned.revoke()]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#owned.values()].map((owned) => owned.close()));
  }
}
