import type { Commit, EventLog, RecordBatch } from '../event-log/event-log.ts';
import { partitionOf } from '../event-log/partition.ts';
import { encodeQuarantineEvent } from '../event-log/quarantine-event.ts';
import { createFoldOutput, type FoldConfig, type FoldOutput, type QuarantinedMessage, step } from './fold.ts';
import { encodeFoldPosition, type FoldPosition } from './fold-position.ts';
import { createFoldState, earliestNeeded, type FoldState } from './fold-state.ts';
import type { ProcessorEvents } from './processor-events.ts';
import { retryUntilAborted } from './retry.ts';
import type { RowWriter } from './row-writer.ts';

export interface PartitionFoldOptions {
  readonly partition: number;
  readonly position: FoldPosition;
  readonly config: FoldConfig;
  readonly log: EventLog;
  readonly quarantineTopic: string;
  readonly rowWriter: RowWriter;
  readonly events: ProcessorEvents;
  /** Commits are this far apart unless rows were written, ms. */
  readonly commitIntervalMs: number;
}

/**
 * Drives the fold of one owned partition: fold a batch, make its output durable, only then hand out the commit.
 * Output that could not be made durable is kept, and its records are not folded again, when the batch comes again.
 */
export class PartitionFold {
  readonly #options: PartitionFoldOptions;
  readonly #state: FoldState;
  /** Output that is not durable yet. */
  #output: FoldOutput = createFoldOutput();
  #lastCommit = performance.now();

  constructor(options: PartitionFoldOptions) {
    this.#options = options;
    this.#state = createFoldState(options.position.start);
  }

  /** The log time at which the next open pane closes, ms since the epoch; Infinity when nothing is open. */
  get nextClosesAtLogTime(): number {
    return this.#state.nextClosesAt + this.#options.config.graceMs;
  }

  /** Folds a batch. Rejects only when the batch's signal aborts. */
  async fold(batch: RecordBatch): Promise<Commit | undefined> {
    this.#foldRecords(batch);
    const { rows, quarantined } = this.#output;
    const hasOutput = rows.length > 0 || quarantined.length > 0;
    if (hasOutput) await this.#makeDurable(batch.signal);
    this.#output = createFoldOutput();
    return this.#commitWhenDue(hasOutput);
  }

  #foldRecords({ records, partition, endOffset }: RecordBatch): void {
    const { config, position, events } = this.#options;
    const output = createFoldOutput();
    for (const record of records) {
      if (record.offset < this.#state.nextOffset) continue;
      if (record.offset < position.outputFrom) step(config, this.#state, record, createFoldOutput());
      else step(config, this.#state, record, output);
    }
    const lag = Number(endOffset - this.#state.nextOffset);
    events.folded(partition, output, lag, this.#state.openAggregates);
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

  #commitWhenDue(hasOutput: boolean): Commit | undefined {
    const { commitIntervalMs, position, config } = this.#options;
    const { nextOffset } = this.#state;
    // While panes are being rebuilt the stored position is still the right one.
    if (nextOffset < position.outputFrom) return undefined;
    const now = performance.now();
    if (!hasOutput && now - this.#lastCommit < commitIntervalMs) return undefined;
    this.#lastCommit = now;
    return encodeFoldPosition({ start: earliestNeeded(this.#state), outputFrom: nextOffset }, config);
  }
}
