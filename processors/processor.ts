import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Consumer, EventLog, RecordBatch } from '../event-log/event-log.ts';
import type { TopicNames } from '../event-log/topics.ts';
import type { MetricStore } from '../metric-store/metric-store.ts';
import type { FoldConfig } from './fold-config.ts';
import { FoldKeeper } from './fold-keeper.ts';
import { type RestoredFold, restoreFold } from './fold-restore.ts';
import { openAggregatesOf } from './fold-state.ts';
import { type ConfigChange, PartitionFold } from './partition-fold.ts';
import { createProcessorEvents, type ProcessorEvents } from './processor-events.ts';
import { RowWriter } from './row-writer.ts';
import { Ticker } from './ticker.ts';

export interface ProcessorOptions {
  readonly log: EventLog;
  readonly store: MetricStore;
  readonly topics: TopicNames;
  /** Consumer group: processors of one group share the partitions. */
  readonly group: string;
  readonly fold: FoldConfig;
  /** Writes to the store that run at once. */
  readonly maxConcurrentWrites: number;
  readonly maxRowsPerWrite: number;
  /** Time between checkpoints of a partition, ms; what is folded since the last one is folded again after a crash. */
  readonly checkpointIntervalMs: number;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Wall clock, ms since the epoch; decides when to append a tick, never what is computed. */
  readonly clock: () => number;
}

export interface Processor {
  /** Why the processor makes no progress, or undefined when it does. */
  failing(): string | undefined;
  /** Finishes the batches in hand, commits, leaves the group. */
  close(): Promise<void>;
}

/** Starts folding the telemetry topic's partitions that the group gives this process. */
export async function openProcessor(options: ProcessorOptions): Promise<Processor> {
  const events = createProcessorEvents(options.registry, options.logger);
  const partitions = new OwnedPartitions(options, events);
  const consumer: Consumer = await options.log.consume({
    topic: options.topics.telemetry,
    group: options.group,
    onAssigned: async (partition) => {
      const { log, group, fold } = options;
      const restored = await restoreFold(log, group, partition, fold, events);
      const change = await configChange(options, partition, restored);
      events.partitionAssigned(partition, restored.state.nextOffset, openAggregatesOf(restored.state));
      partitions.add(partition, restored, change);
      return restored.state.nextOffset;
    },
    onRevoked: (partition) => {
      events.partitionRevoked(partition);
      partitions.remove(partition);
    },
    onBatch: (batch) => partitions.fold(batch),
    onError: (error) => events.consumerFailed(error),
  });
  return {
    failing: () => events.failing(),
    async close() {
      partitions.stopTicking();
      await consumer.close();
      // A partition whose assignment was under way has got a ticker meanwhile.
      partitions.stopTicking();
      await partitions.close();
    },
  };
}

/**
 * From where on the configured budgets hold: from a final checkpoint, which is final no longer then, and otherwise, where
 * a checkpoint names other budgets, from the end of the log.
 */
async function configChange(
  { log, topics, fold }: ProcessorOptions,
  partition: number,
  { state, config: { maxOpenAggregates, maxDevices }, isFinal }: RestoredFold,
): Promise<ConfigChange | undefined> {
  if (isFinal) return { config: fold, from: state.nextOffset };
  if (maxOpenAggregates === fold.maxOpenAggregates && maxDevices === fold.maxDevices) return undefined;
  const offsets = await log.offsets(topics.telemetry, 0);
  return { config: fold, from: offsets[partition]?.end ?? 0n };
}

interface OwnedPartition {
  readonly fold: PartitionFold;
  readonly ticker: Ticker;
}

/** The folds of the partitions that this process owns. */
class OwnedPartitions {
  readonly #options: ProcessorOptions;
  readonly #events: ProcessorEvents;
  readonly #rowWriter: RowWriter;
  readonly #owned = new Map<number, OwnedPartition>();

  constructor(options: ProcessorOptions, events: ProcessorEvents) {
    const { store, maxConcurrentWrites, maxRowsPerWrite } = options;
    this.#options = options;
    this.#events = events;
    this.#rowWriter = new RowWriter({ store, events, maxConcurrentWrites, maxRowsPerWrite });
  }

  add(partition: number, { state, config }: RestoredFold, change: ConfigChange | undefined): void {
    this.remove(partition);
    const { log, group, topics, checkpointIntervalMs: intervalMs, clock } = this.#options;
    const events = this.#events;
    const fold = new PartitionFold({
      partition,
      state,
      config,
      ...(change !== undefined && { change }),
      log,
      quarantineTopic: topics.quarantine,
      rowWriter: this.#rowWriter,
      keeper: new FoldKeeper({ log, group, partition, config, intervalMs, events }),
      events,
    });
    const onFailure = (error: unknown) => events.logAppendFailed(error);
    const ticker = new Ticker({ log, topic: topics.telemetry, partition, clock, onFailure });
    ticker.scheduleFor(fold.nextClosesAtLogTime);
    this.#owned.set(partition, { fold, ticker });
  }

  remove(partition: number): void {
    this.#owned.get(partition)?.ticker.stop();
    this.#owned.delete(partition);
  }

  stopTicking(): void {
    for (const { ticker } of this.#owned.values()) ticker.stop();
  }

  /** Keeps a last checkpoint of each partition. */
  async close(): Promise<void> {
    await Promise.all([...this.#owned.values()].map(({ fold }) => fold.close()));
  }

  async fold(batch: RecordBatch) {
    const owned = this.#owned.get(batch.partition);
    if (owned === undefined)
      throw new Error(`partition ${batch.partition} delivered a batch before it was assigned`);
    owned.ticker.pause();
    const commit = await owned.fold.fold(batch);
    owned.ticker.scheduleFor(owned.fold.nextClosesAtLogTime);
    return commit;
  }
}
