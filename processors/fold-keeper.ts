import type { Commit, EventLog } from '../event-log/event-log.ts';
import { encodeCheckpoint } from './checkpoint.ts';
import type { FoldConfig } from './fold-config.ts';
import type { FoldState } from './fold-state.ts';
import type { ProcessorEvents } from './processor-events.ts';
import { retryUntilAborted } from './retry.ts';

export interface FoldKeeperOptions {
  readonly log: EventLog;
  readonly group: string;
  readonly partition: number;
  /** What the state is folded with at first. */
  readonly config: FoldConfig;
  /** Time from one checkpoint to the next, ms. */
  readonly intervalMs: number;
  readonly events: ProcessorEvents;
}

/**
 * Keeps checkpoints of one partition's fold while it goes on: the state is encoded between two batches and saved in
 * the background, one at a time. The group's commit follows the newest checkpoint that is durable.
 */
export class FoldKeeper {
  readonly #options: FoldKeeperOptions;
  #config: FoldConfig;
  #lastStarted: number;
  #saving: Promise<void> | undefined;
  #saved: bigint | undefined;
  #committed: bigint | undefined;

  constructor(options: FoldKeeperOptions) {
    this.#options = options;
    this.#config = options.config;
    // Partitions are assigned together; their checkpoints should not all be due together.
    this.#lastStarted = performance.now() - (options.partition % 8) * (options.intervalMs / 8);
  }

  /** Call after each batch whose output is durable. Returns what to commit, if anything is new. */
  afterBatch(state: FoldState): Commit | undefined {
    if (performance.now() - this.#lastStarted >= this.#options.intervalMs) this.#start(state);
    if (this.#saved === undefined || this.#saved === this.#committed) return undefined;
    this.#committed = this.#saved;
    return { offset: this.#saved, metadata: '' };
  }

  /**
   * From this state on the fold goes on with another configuration: resolves once a checkpoint says so. Call when the
   * state's output is durable. Rejects only when the signal aborts.
   */
  async changeConfig(state: FoldState, config: FoldConfig, signal: AbortSignal): Promise<void> {
    await this.#saving;
    const { log, group, partition, events } = this.#options;
    const checkpoint = encodeCheckpoint(state, config);
    await retryUntilAborted(
      signal,
      (error) => events.checkpointFailed(error),
      () => log.saveCheckpoint(group, partition, checkpoint),
    );
    this.#config = config;
    this.#saved = state.nextOffset;
  }

  /** Waits for the checkpoint being saved, and saves a final one of `state` where there is one. */
  async close(state: FoldState | undefined): Promise<void> {
    await this.#saving;
    if (state !== undefined) this.#start(state, true);
    await this.#saving;
  }

  #start(state: FoldState, isFinal = false): void {
    if (this.#saving !== undefined) return;
    const startedAt = performance.now();
    this.#lastStarted = startedAt;
    const { nextOffset } = state;
    const checkpoint = encodeCheckpoint(state, this.#config, isFinal);
    const stalledMs = performance.now() - startedAt;
    this.#saving = this.#save(nextOffset, checkpoint, stalledMs).finally(() => {
      this.#saving = undefined;
    });
  }

  /** Never rejects: without this checkpoint the one before is used, and the next one is due soon. */
  async #save(nextOffset: bigint, checkpoint: Buffer, stalledMs: number): Promise<void> {
    const { log, group, partition, events } = this.#options;
    const startedAt = performance.now();
    try {
      await log.saveCheckpoint(group, partition, checkpoint);
      this.#saved = nextOffset;
      events.checkpointSaved(checkpoint.length, stalledMs, performance.now() - startedAt);
    } catch (error) {
      events.checkpointFailed(error);
    }
  }
}
