import type { Commit, EventLog, RecordBatch } from '../event-log/event-log.ts';
import { partitionOf } from '../event-log/partition.ts';
import { encodeQuarantineEvent } from '../event-log/quarantine-event.ts';
import { createFoldOutput, type FoldOutput, type QuarantinedMessage, step } from './fold.ts';
import type { FoldConfig } from './fold-config.ts';
import type { FoldKeeper } from './fold-keeper.ts';
import { type FoldState, nextClosesAtOf, openAggregatesOf } from './fold-state.ts';
import type { ProcessorEvents } from './processor-events.ts';
import { retryUntilAborted } from './retry.ts';
import type { RowWriter } from './row-writer.ts';

export interface PartitionFoldOptions {
  readonly partition: number;
  /** Where the fold goes on; this fold's own from now on. */
  readonly state: FoldState;
  /** What the state was folded with. */
  readonly config: FoldConfig;
  /** What it is to be folded with later, where that differs. */
  readonly change?: ConfigChange;
  readonly log: EventLog;
  readonly quarantineTopic: string;
  readonly rowWriter: RowWriter;
  readonly keeper: FoldKeeper;
  readonly events: ProcessorEvents;
}

/**
 * Another configuration for the records from an offset on. Those before it may have been folded by a process that
 * died without a checkpoint: they have to be folded as it did.
 */
export interface ConfigChange {
  readonly config: FoldConfig;
  readonly from: bigint;
}

/**
 * Drives the fold of one owned partition: fold a batch, make its output durable, now and then a checkpoint, and only
 * then hand out the commit. Output that could not be made durable is kept, and its records are not folded again,
 * when the batch comes again.
 */
export class PartitionFold {
  readonly #options: PartitionFoldOptions;
  /** Output that is not durable yet. */
  #output: FoldOutput = createFoldOutput();
  #isDurable = true;
  #config: FoldConfig;
  #change: ConfigChange | undefined;

  constructor(options: PartitionFoldOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#change = options.change;
  }

  /** The log time at which the next open pane closes, ms since the epoch; Infinity when nothing is open. */
  get nextClosesAtLogTime(): number {
    return nextClosesAtOf(this.#options.state) + this.#options.config.graceMs;
  }

  /** Folds a batch. Rejects only when the batch's signal aborts. */
  async fold(batch: RecordBatch): Promise<Commit | undefined> {
    const { keeper, state } = this.#options;
    const change = this.#change;
    const last = batch.records.at(-1)?.offset ?? state.nextOffset;
    if (change !== undefined && last >= change.from) {
      await this.#foldDurably(batch, change.from);
      await keeper.changeConfig(state, change.config, batch.signal);
      this.#config = change.config;
      this.#change = undefined;
    }
    await this.#foldDurably(batch, last + 1n);
    return keeper.afterBatch(state);
  }

  /** Folds the records below an offset. */
  async #foldDurably(batch: RecordBatch, below: bigint): Promise<void> {
    this.#isDurable = false;
    this.#foldRecords(batch, below);
    const { rows, quarantined } = this.#output;
    if (rows.length > 0 || quarantined.length > 0) await this.#makeDurable(batch.signal);
    this.#output = createFoldOutput();
    this.#isDurable = true;
  }

  /** Keeps a last checkpoint. Call when no batch is being folded. */
  async close(): Promise<void> {
    const { keeper, state } = this.#options;
    await keeper.close(this.#isDurable ? state : undefined);
  }

  #foldRecords({ records, partition, endOffset }: RecordBatch, below: bigint): void {
    const { state, events } = this.#options;
    const output = createFoldOutput();
    for (const record of records) {
      if (record.offset >= state.nextOffset && record.offset < below)
        step(this.#config, state, record, output);
    }
    events.folded(partition, output, Number(endOffset - state.nextOffset), openAggregatesOf(state));
    for (const row of output.rows) this.#output.rows.push(row);
    for (const message of output.quarantined) this.#output.quarantined.push(message);
  }

  async #makeDurable(signal: AbortSignal): Promise<void> {
    const { rows, quarantined } = this.#output;
    await Promise.all([
      this.#options.rowWriter.write(rows, signal),
      ...quarantined.map((message) => this.#appendQuarantined(message, signal)),
    ]);
  }

  #appendQuarantined(message: QuarantinedMessage, signal: AbortSignal): Promise<void> {
    const { log, quarantineTopic, partition, events } = this.#options;
    const { reason, detail, deviceId, offset, index, received, payload } = message;
    const origin = { kind: 'record', partition, offset, index } as const;
    const value = encodeQuarantineEvent({ reason, detail, origin, received, payload });
    const target = partitionOf(deviceId, log.partitions(quarantineTopic));
    return retryUntilAborted(
      signal,
      (error) => events.logAppendFailed(error),
      async () => {
        await log.append(quarantineTopic, target, deviceId, value);
      },
    );
  }
}
