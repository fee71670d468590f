import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { OffsetBeyondEndError, RecordsExpiredError } from '../errors.ts';
import type { Commit, ConsumeOptions, Consumer, LogRecord, RecordBatch } from '../event-log.ts';
import { decodeCommit, encodeCommit } from './commit-record.ts';
import { commitKey } from './keys.ts';
import { PartitionCursor } from './partition-cursor.ts';
import type { PartitionLog } from './partition-log.ts';
import type { Store } from './store.ts';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

/** The only member of a consumer group on a topic: owns every partition and runs them concurrently. */
export class EmbeddedConsumer implements Consumer {
  readonly #runs: readonly PartitionRun[];
  readonly #ended: Promise<void>;

  /** `onClosed` runs when the last handler has ended and its commit is stored. */
  constructor(store: Store, logs: readonly PartitionLog[], options: ConsumeOptions, onClosed: () => void) {
    this.#runs = logs.map((log) => new PartitionRun(store, log, options));
    this.#ended = Promise.all(this.#runs.map((run) => run.start())).then(onClosed);
  }

  async close(): Promise<void> {
    for (const run of this.#runs) run.stop();
    await this.#ended;
  }
}

/** The sequence of one partition: fetch, handle until it succeeds, store the commit, again. */
class PartitionRun {
  readonly #store: Store;
  readonly #log: PartitionLog;
  readonly #options: ConsumeOptions;
  readonly #stopping = new AbortController();
  readonly #commitKey: Buffer;

  constructor(store: Store, log: PartitionLog, options: ConsumeOptions) {
    this.#store = store;
    this.#log = log;
    this.#options = options;
    this.#commitKey = commitKey(options.group, log.topic, log.partition);
  }

  async start(): Promise<void> {
    const cursor = await this.#retry(() => this.#assign());
    while (cursor !== undefined && !this.#signal.aborted) {
      const records = await this.#retry(async () => cursor.take());
      if (records === undefined) return;
      if (records.length === 0) await this.#log.beyond(cursor.position, this.#signal);
      else await this.#deliver(records);
      // A handler that resolves at once must not keep the event loop from its sockets and timers.
      await nextTurn();
    }
  }

  /** Aborts the handler's signal; what it returns is stored and `start` resolves. */
  stop(): void {
    this.#stopping.abort();
  }

  get #signal(): AbortSignal {
    return this.#stopping.signal;
  }

  async #assign(): Promise<PartitionCursor> {
    const { topic, partition } = this.#log;
    const stored = this.#options.isEphemeral ? undefined : this.#store.get(this.#commitKey);
    const committed = stored === undefined ? undefined : decodeCommit(stored);
    const chosen = await this.#options.onAssigned(partition, committed);
    const start = this.#withinEnd(chosen) ?? committed?.offset ?? this.#log.firstOffset();
    return new PartitionCursor(this.#log, start, (from, to) =>
      this.#options.onError(new RecordsExpiredError(topic, partition, from, to)),
    );
  }

  #withinEnd(chosen: bigint | undefined): bigint | undefined {
    const { topic, partition, endOffset } = this.#log;
    if (chosen === undefined || chosen <= endOffset) return chosen;
    this.#options.onError(new OffsetBeyondEndError(topic, partition, chosen, endOffset));
    return endOffset;
  }

  async #deliver(records: readonly LogRecord[]): Promise<void> {
    const { partition, endOffset } = this.#log;
    const batch = { partition, records, endOffset, signal: this.#signal };
    const handled = await this.#retry(() => this.#handle(batch));
    if (handled?.commit !== undefined) await this.#storeCommit(handled.commit);
  }

  async #handle(batch: RecordBatch): Promise<{ commit: Commit | undefined }> {
    try {
      return { commit: await this.#options.onBatch(batch) };
    } catch (error) {
      // A handler that gives up because it was told to has not failed.
      if (this.#signal.aborted) return { commit: undefined };
      throw error;
    }
  }

  async #storeCommit(commit: Commit): Promise<void> {
    if (this.#options.isEphemeral) return;
    const value = encodeCommit(commit);
    await this.#retry(() => this.#store.write([{ kind: 'put', key: this.#commitKey, value }], 'upkeep'));
  }

  /** Runs an action until it succeeds, at least once; undefined when the consumer closes before that. */
  async #retry<T>(action: () => Promise<T>): Promise<T | undefined> {
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      try {
        return await action();
      } catch (error) {
        this.#options.onError(error instanceof Error ? error : new Error(String(error)));
      }
      await delay(retryMs, undefined, { signal: this.#signal }).catch(() => undefined);
      if (this.#signal.aborted) return undefined;
    }
  }
}
