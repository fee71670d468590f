import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { EventLog } from '../../event-log/event-log.ts';
import type { TopicNames } from '../../event-log/topics.ts';
import type { MetricStore } from '../../metric-store/metric-store.ts';
import type { FoldConfig } from '../fold-config.ts';
import { FoldKeeper } from '../fold-keeper.ts';
import { createFoldState, type FoldState } from '../fold-state.ts';
import { readLogRange } from '../log-range.ts';
import { createProcessorEvents, type ProcessorEvents } from '../processor-events.ts';
import { RowWriter } from '../row-writer.ts';
import { QuarantinePositions } from '../verify/quarantine-positions.ts';
import { PartitionReplay } from './partition-replay.ts';
import { forgetReplay, loadReplay, replayGroup } from './replay-checkpoints.ts';
import { planReplay, type ReplayPlan } from './replay-plan.ts';

export interface ReplayOptions {
  readonly log: EventLog;
  readonly store: MetricStore;
  readonly topics: TopicNames;
  /** The live run's, else other rows come out. */
  readonly fold: FoldConfig;
  /** How long the log keeps telemetry, ms. */
  readonly retentionMs: number;
  /** Rows of windows that start in [from, to), ms since the epoch, are written. */
  readonly from: number;
  readonly to: number;
  /** Forget where an interrupted replay of this range was. */
  readonly isRestart: boolean;
  readonly maxConcurrentWrites: number;
  readonly maxRowsPerWrite: number;
  /** Time between checkpoints of a partition, ms. */
  readonly checkpointIntervalMs: number;
  /** Wall clock, ms since the epoch; decides what retention may have deleted. */
  readonly clock: () => number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Asked once before anything is written; the replay ends when it says no. */
  readonly confirm: (plan: ReplayPlan) => Promise<boolean>;
  readonly onProgress?: (progress: ReplayProgress) => void;
}

export interface ReplayProgress {
  /** Records folded, of `total`. */
  readonly done: number;
  readonly total: number;
}

export interface ReplayResult {
  readonly records: number;
  /** Rows made durable. */
  readonly rows: number;
  /** Rows that the store will never take, such as those beyond its retention. */
  readonly rowsRefused: number;
  /** Aggregates of the range whose panes are still open; the live run writes them. */
  readonly open: number;
  readonly closedEarly: number;
  readonly refused: number;
  readonly readmitted: number;
}

/**
 * Folds the log again from before the range to its present end, and writes the rows of the range: those that the live
 * run wrote, under the same identities. Nothing else is touched: no commit, no tick, no quarantined message. Interrupted
 * at any moment, the next replay of the same range goes on where it was. Undefined when `confirm` said no. Rejects with
 * `ReplayInputMissingError`, `RangeTooLargeError`, `LogRangeStalledError`, errors of the log, or the signal's reason.
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult | undefined> {
  return new Replay(options).run();
}

class Replay {
  readonly #options: ReplayOptions;
  readonly #group: string;
  readonly #events: ProcessorEvents;
  #rows = 0;
  #rowsRefused = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#group = replayGroup(options.from, options.to);
    const events = createProcessorEvents(new Registry(), options.logger);
    this.#events = {
      ...events,
      rowsWritten: (rows) => {
        this.#rows += rows;
        events.rowsWritten(rows);
      },
      rowsRefused: (error, rows) => {
        this.#rowsRefused += error.refused.length;
        events.rowsRefused(error, rows);
      },
    };
  }

  async run(): Promise<ReplayResult | undefined> {
    const { log, topics, fold, from, retentionMs, clock, confirm } = this.#options;
    const states = await this.#interruptedStates();
    const resumeAt = new Map([...states].map(([partition, { nextOffset }]) => [partition, nextOffset]));
    const topic = topics.telemetry;
    const plan = await planReplay({ log, topic, fold, from, retentionMs, now: clock(), resumeAt });
    if (!(await confirm(plan))) return undefined;
    const quarantined = await this.#readQuarantined(plan.startLogTime);
    const partitions = this.#open(plan, states, quarantined);
    try {
      await this.#fold(plan, partitions);
      for (const partition of partitions.values()) await partition.finish(this.#options.signal);
    } finally {
      await Promise.all([...partitions.values()].map((partition) => partition.close()));
    }
    for (const partition of partitions.keys()) await forgetReplay(log, this.#group, partition, fold);
    return this.#result(plan, [...partitions.values()]);
  }

  async #interruptedStates(): Promise<Map<number, FoldState>> {
    const { log, topics, fold, isRestart } = this.#options;
    const states = new Map<number, FoldState>();
    if (isRestart) return states;
    for (const [partition, { end }] of (await log.offsets(topics.telemetry, 0)).entries()) {
      const state = await loadReplay(log, this.#group, partition, fold, end);
      if (state !== undefined) states.set(partition, state);
    }
    return states;
  }

  async #readQuarantined(startLogTime: number): Promise<QuarantinePositions> {
    const { log, topics, from, to, signal } = this.#options;
    const quarantined = new QuarantinePositions(from, to);
    const offsets = await log.offsets(topics.quarantine, startLogTime);
    await readLogRange({
      log,
      topic: topics.quarantine,
      purpose: 'sluice-replay',
      ranges: offsets.map(({ atLogTime, end }, partition) => ({ partition, from: atLogTime, to: end })),
      signal,
      onFailure: (error) => this.#events.consumerFailed(error),
      onRecords: (_, records) => {
        for (const record of records) quarantined.add(record);
      },
    });
    return quarantined;
  }

  #open(
    { ranges }: ReplayPlan,
    states: ReadonlyMap<number, FoldState>,
    quarantined: QuarantinePositions,
  ): Map<number, PartitionReplay> {
    const {
      log,
      store,
      topics,
      fold: config,
      from,
      to,
      maxConcurrentWrites,
      maxRowsPerWrite,
    } = this.#options;
    const { checkpointIntervalMs } = this.#options;
    const events = this.#events;
    const rowWriter = new RowWriter({ store, events, maxConcurrentWrites, maxRowsPerWrite });
    return new Map(
      ranges.map(({ partition, from: firstOffset }) => {
        const state = states.get(partition) ?? createFoldState(config.windowsMs.length);
        const keeping = {
          log,
          group: this.#group,
          partition,
          config,
          intervalMs: checkpointIntervalMs,
          events,
        };
        const opened = new PartitionReplay({
          partition,
          topic: topics.telemetry,
          state,
          firstOffset,
          config,
          from,
          to,
          quarantined,
          rowWriter,
          maxPendingRows: maxRowsPerWrite,
          keeper: new FoldKeeper(keeping),
          checkpointIntervalMs,
        });
        return [partition, opened];
      }),
    );
  }

  async #fold(
    { ranges, records: total }: ReplayPlan,
    partitions: ReadonlyMap<number, PartitionReplay>,
  ): Promise<void> {
    const { log, topics, signal, onProgress } = this.#options;
    let done = 0;
    await readLogRange({
      log,
      topic: topics.telemetry,
      purpose: 'sluice-replay',
      ranges: ranges.filter(({ from, to }) => from < to),
      signal,
      onFailure: (error) => this.#events.consumerFailed(error),
      onRecords: async (partition, records, batchSignal) => {
        await partitions.get(partition)?.fold(records, batchSignal);
        done += records.length;
        onProgress?.({ done, total });
      },
    });
  }

  #result({ records }: ReplayPlan, partitions: readonly PartitionReplay[]): ReplayResult {
    const sum = (count: (partition: PartitionReplay) => number) =>
      partitions.reduce((total, partition) => total + count(partition), 0);
    return {
      records,
      rows: this.#rows,
      rowsRefused: this.#rowsRefused,
      open: sum((partition) => partition.openAggregates()),
      closedEarly: sum(({ counts }) => counts.closedEarly),
      refused: sum(({ counts }) => counts.refused),
      readmitted: sum(({ counts }) => counts.readmitted),
    };
  }
}
