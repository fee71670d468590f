import type { AppendOutcome, PendingAppend } from '../group-commit.ts';
import type { PartitionLog, StagedBatch } from './partition-log.ts';
import type { Store } from './store.ts';

interface Lane {
  readonly log: PartitionLog;
  readonly records: PendingAppend[];
  /** Where each record stands in the commit. */
  readonly indexes: number[];
}

/** Writes the pending appends of all partitions in one transaction, one stored batch for each partition. */
export class AppendCommit {
  readonly #store: Pick<Store, 'write'>;
  readonly #logOf: (topic: string, partition: number) => PartitionLog;
  readonly #clock: () => number;
  /** Partitions whose last write failed: it may have reached the store all the same. */
  readonly #doubtful = new Set<PartitionLog>();

  constructor(
    store: Pick<Store, 'write'>,
    logOf: (topic: string, partition: number) => PartitionLog,
    clock: () => number,
  ) {
    this.#store = store;
    this.#logOf = logOf;
    this.#clock = clock;
  }

  /** Resolves with the offsets once all are durable; rejects when none is. Never called twice at once. */
  async run(appends: readonly PendingAppend[]): Promise<readonly AppendOutcome[]> {
    this.#settleDoubts();
    const lanes = this.#lanes(appends);
    const now = this.#clock();
    const staged = lanes.map(({ log, records }) => log.stage(records, now));
    for (const { log } of lanes) this.#doubtful.add(log);
    await this.#store.write(
      staged.map(({ write }) => write),
      'growth',
    );
    this.#doubtful.clear();
    const outcomes = new Array<AppendOutcome>(appends.length);
    lanes.forEach((lane, index) => {
      const batch = staged[index];
      if (batch !== undefined) settle(lane, batch, outcomes);
    });
    return outcomes;
  }

  #settleDoubts(): void {
    for (const log of this.#doubtful) {
      log.restore();
      this.#doubtful.delete(log);
    }
  }

  #lanes(appends: readonly PendingAppend[]): Lane[] {
    const lanes = new Map<PartitionLog, Lane>();
    appends.forEach((append, index) => {
      const log = this.#logOf(append.topic, append.partition);
      let lane = lanes.get(log);
      if (lane === undefined) {
        lane = { log, records: [], indexes: [] };
        lanes.set(log, lane);
      }
      lane.records.push(append);
      lane.indexes.push(index);
    });
    return [...lanes.values()];
  }
}

function settle({ log, indexes }: Lane, batch: StagedBatch, outcomes: AppendOutcome[]): void {
  log.advance(batch);
  let offset = batch.baseOffset;
  for (const index of indexes) outcomes[index] = offset++;
}
