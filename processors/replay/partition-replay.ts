import type { LogRecord } from '../../event-log/event-log.ts';
import { decodeTelemetryEvent, encodeTick, UndecodableEventError } from '../../event-log/telemetry-event.ts';
import type { WindowAggregate } from '../../metric-store/metric-store.ts';
import { createFoldOutput, type FoldOutput, step } from '../fold.ts';
import { type FoldConfig, paneStrideOf } from '../fold-config.ts';
import type { FoldKeeper } from '../fold-keeper.ts';
import { type FoldState, openAggregatesOf } from '../fold-state.ts';
import type { RowWriter } from '../row-writer.ts';
import type { QuarantinePositions } from '../verify/quarantine-positions.ts';
import { ReplayInputMissingError } from './errors.ts';

export interface PartitionReplayOptions {
  readonly partition: number;
  readonly topic: string;
  /** Where the fold goes on; this replay's own from now on. */
  readonly state: FoldState;
  /** The offset of the first record to come. */
  readonly firstOffset: bigint;
  readonly config: FoldConfig;
  /** Window starts of the rows to write, [from, to) in ms since the epoch. */
  readonly from: number;
  readonly to: number;
  readonly quarantined: QuarantinePositions;
  readonly rowWriter: RowWriter;
  /** Rows that wait for a write at most, but for those of one batch. */
  readonly maxPendingRows: number;
  readonly keeper: FoldKeeper;
  readonly checkpointIntervalMs: number;
}

/** Counts of one partition. */
export interface ReplayCounts {
  /** Panes that the budget closed before their time. */
  closedEarly: number;
  /** Messages that the budget refused here. */
  refused: number;
  /** Messages counted here that the live run quarantined. */
  readmitted: number;
}

/** Folds one partition's records again, and writes the rows of the range. */
export class PartitionReplay {
  readonly counts: ReplayCounts = { closedEarly: 0, refused: 0, readmitted: 0 };
  readonly #options: PartitionReplayOptions;
  #next: bigint;
  #pending: WindowAggregate[] = [];
  #lastFlush = performance.now();

  constructor(options: PartitionReplayOptions) {
    this.#options = options;
    this.#next = options.firstOffset;
  }

  /** Folds consecutive records. Rejects with the signal's reason, or with `ReplayInputMissingError` at a gap. */
  async fold(records: readonly LogRecord[], signal: AbortSignal): Promise<void> {
    const { state, maxPendingRows, keeper, checkpointIntervalMs } = this.#options;
    for (const record of records) if (record.offset >= this.#next) this.#foldRecord(record);
    const isDue = performance.now() - this.#lastFlush >= checkpointIntervalMs;
    if (this.#pending.length < maxPendingRows && !isDue) return;
    await this.#flush(signal);
    keeper.afterBatch(state);
  }

  /** Writes what is pending. */
  async finish(signal: AbortSignal): Promise<void> {
    await this.#flush(signal);
  }

  /** Keeps a last checkpoint, unless rows are not durable. Call when nothing is being folded. */
  async close(): Promise<void> {
    await this.#options.keeper.close(this.#pending.length === 0 ? this.#options.state : undefined);
  }

  /** Aggregates of the range in panes that are still open. */
  openAggregates(): number {
    const { state, from, to } = this.#options;
    let open = 0;
    for (const { panes } of state.levels) {
      for (const ofDevice of panes.values()) {
        for (const [start, pane] of ofDevice) if (start >= from && start < to) open += pane.metrics.size;
      }
    }
    return open;
  }

  #foldRecord(record: LogRecord): void {
    const { config, state, topic, partition, from, to } = this.#options;
    if (record.offset > this.#next) {
      throw new ReplayInputMissingError(
        `partition ${partition} of ${topic} lacks the offsets ${this.#next} to ${record.offset - 1n}`,
      );
    }
    const output = createFoldOutput();
    step(config, state, this.#asLiveRunSawIt(record), output);
    this.#next = state.nextOffset;
    this.#countRefusals(record, output);
    for (const row of output.rows) {
      if (row.windowStart < from || row.windowStart >= to) continue;
      this.#pending.push(row);
      if (row.pane >= paneStrideOf(config, row.resolutionMs)) this.counts.closedEarly++;
    }
  }

  /**
   * A record whose messages were all quarantined becomes a tick: the live run may have refused them for what it knew from
   * before the start, such as the number of devices. Where this fold's budget is exhausted too, it refuses them itself.
   */
  #asLiveRunSawIt(record: LogRecord): LogRecord {
    const { quarantined, partition } = this.#options;
    const refused = quarantined.of(partition, record.offset).size;
    if (refused === 0 || refused < messagesIn(record) || this.#isExhausted(record)) return record;
    return { ...record, value: encodeTick() };
  }

  #isExhausted({ key }: LogRecord): boolean {
    const { state, config } = this.#options;
    const { devices } = state;
    if (openAggregatesOf(state) >= config.maxOpenAggregates) return true;
    return devices.size >= config.maxDevices && !devices.has(key.toString('latin1'));
  }

  #countRefusals({ offset }: LogRecord, { quarantined, counts }: FoldOutput): void {
    this.counts.refused += quarantined.filter(({ reason }) => reason === 'budget_exceeded').length;
    const refusedLive = this.#options.quarantined.of(this.#options.partition, offset).size;
    if (counts.messages > 0) this.counts.readmitted += Math.max(0, refusedLive - quarantined.length);
  }

  async #flush(signal: AbortSignal): Promise<void> {
    await this.#options.rowWriter.write(this.#pending, signal);
    this.#pending = [];
    this.#lastFlush = performance.now();
  }
}

function messagesIn({ value }: LogRecord): number {
  try {
    const event = decodeTelemetryEvent(value);
    return event.kind === 'tick' ? 0 : event.messages.length;
  } catch (error) {
    if (error instanceof UndecodableEventError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}
