import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  EventLogClosedError,
  EventLogFullError,
  EventLogUnavailableError,
  RecordTooLargeError,
  UnknownPartitionError,
  UnknownTopicError,
} from './errors.ts';
import type { Commit, ConsumeOptions, Consumer, EventLog, LogRecord, RecordBatch } from './event-log.ts';
import type { TopicSpec } from './topics.ts';

/** How the suite asks an adapter to open its log. Topic names are unique to each test. */
export interface OpenLogOptions {
  readonly topics: readonly TopicSpec[];
  /** The append deadline, ms; the adapter's default when absent. */
  readonly appendTimeoutMs?: number;
  /** The bound on pending appends, bytes; the adapter's default when absent. */
  readonly maxPendingBytes?: number;
}

/** One storage of an adapter for one test: a folder of its own, or a backend that tests share. */
export interface EventLogStorage {
  /** Opens the log on this storage; called again after `close` to reopen it. */
  openLog(options: OpenLogOptions): Promise<EventLog>;
  /** Makes the backend refuse or ignore writes until `makeAvailable`. */
  makeUnavailable?(): Promise<void>;
  makeAvailable?(): Promise<void>;
  /** Removes the storage. Every log opened on it is closed by then. */
  cleanUp(): Promise<void>;
}

/** The cases of the suite and their sentences. */
const CASES = {
  partitions: 'a topic has the partitions it was opened with',
  offsets: 'an append resolves with the next offset of its partition',
  content: 'keys and values come back byte for byte, empty ones included',
  order: 'each partition keeps the order of many concurrent appends over several partitions',
  logTime: 'log time never runs backwards within a partition and lies within the append',
  endOffset: 'a batch tells the end offset of its partition',
  durable: 'acknowledged records and their offsets survive a reopening',
  resume: 'a group resumes at its commit and gets its metadata back',
  noCommit: 'a group that never committed starts at the first record',
  groups: 'two groups read the same records independently',
  sequence: 'the next batch of a partition waits for the handler of the one before',
  rejection: 'a batch whose handler rejected is delivered again, the same, and reported',
  closing: 'closing a consumer aborts the signal, waits for the handler and stores what it returned',
  sharing: 'two consumers of a group share the partitions and one takes over when the other closes',
  lost: 'a commit returned after the partition was lost is not stored',
  unknownTopic: 'an unknown topic is refused by name',
  unknownPartition: 'an unknown partition is refused by name',
  tooLarge: 'a record that is too large is refused by name while its neighbours are stored',
  unavailable:
    'an append that cannot be made durable is rejected at its deadline, and the log recovers by itself',
  interrupted: 'an interruption neither loses nor reorders acknowledged records',
  full: 'appends beyond the bound on pending bytes are refused at once and the others are stored',
  ping: 'ping resolves while the log answers and rejects when it does not',
  closed: 'an append after close is refused',
  draining: 'close waits for pending appends, which are durable then',
  closeTwice: 'close is idempotent and closes the consumers',
} as const;

export type EventLogCase = keyof typeof CASES;

export interface EventLogContractOptions {
  openStorage(): Promise<EventLogStorage>;
  /** Cases that cannot hold for the adapter, with the reason. */
  readonly skip?: Partial<Record<EventLogCase, string>>;
}

const PATIENCE = { timeout: 45_000, interval: 20 };
const TEST_TIMEOUT_MS = 90_000;
const RECORD_BYTES = 64 * 1024;

/** Holds an adapter to the promises of `EventLog`. Call it at the top level of a test file. */
export function describeEventLogContract(name: string, options: EventLogContractOptions): void {
  describe(`event log contract: ${name}`, () => {
    let bench: Bench;
    beforeEach(async () => {
      bench = new Bench(await options.openStorage());
    });
    afterEach(() => bench.cleanUp(), TEST_TIMEOUT_MS);

    const hold = (key: EventLogCase, body: (bench: Bench) => Promise<void>) => {
      const reason = options.skip?.[key];
      if (reason === undefined) test(CASES[key], () => body(bench), TEST_TIMEOUT_MS);
      else test.skip(`${CASES[key]} (skipped: ${reason})`);
    };
    appendCases(hold);
    refusalCases(hold);
    consumeCases(hold);
    groupCases(hold);
    faultCases(hold);
    lifeCycleCases(hold);
  });
}

type Hold = (key: EventLogCase, body: (bench: Bench) => Promise<void>) => void;

function appendCases(hold: Hold): void {
  hold('partitions', async (bench) => {
    const log = await bench.open();
    expect(log.partitions(bench.topic)).toBe(3);
    expect(() => log.partitions('no-such-topic')).toThrow(UnknownTopicError);
  });

  hold('offsets', async (bench) => {
    const log = await bench.open();
    const offsets: bigint[] = [];
    for (let i = 0; i < 5; i++) offsets.push(await log.append(bench.topic, 1, 'device', value(i)));
    expect(offsets).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(await log.append(bench.topic, 2, 'device', value(0))).toBe(0n);
    const together = await Promise.all([5, 6, 7].map((i) => log.append(bench.topic, 1, 'device', value(i))));
    expect(together).toEqual([5n, 6n, 7n]);
  });

  hold('content', async (bench) => {
    const log = await bench.open();
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const sent = [
      { key: 'dëvice-é-☃', value: everyByte },
      { key: 'empty', value: Buffer.alloc(0) },
      { key: 'large', value: Buffer.alloc(RECORD_BYTES / 2, 7) },
    ];
    for (const record of sent) await log.append(bench.topic, 0, record.key, record.value);
    const reading = await bench.read(log);
    await reading.until(sent.length);
    expect(reading.of(0).map(({ key, value }) => ({ key, value }))).toEqual(sent);
  });

  hold('order', async (bench) => {
    const log = await bench.open();
    const appended = await Promise.all(
      Array.from({ length: 6_000 }, (_, i) => log.append(bench.topic, i % 3, `device-${i % 7}`, value(i))),
    );
    const reading = await bench.read(log);
    await reading.until(6_000);
    for (const partition of [0, 1, 2]) {
      const records = reading.of(partition);
      expect(records.map(({ value }) => numberOf(value))).toEqual(
        Array.from({ length: 2_000 }, (_, i) => i * 3 + partition),
      );
      expect(records.map(({ offset }) => offset)).toEqual(appended.filter((_, i) => i % 3 === partition));
    }
  });

  hold('logTime', async (bench) => {
    const log = await bench.open();
    const before = Date.now();
    for (let i = 0; i < 20; i++) await log.append(bench.topic, 0, 'device', value(i));
    const after = Date.now();
    const reading = await bench.read(log);
    await reading.until(20);
    const times = reading.of(0).map(({ logTime }) => logTime);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    // A broker on another machine has another clock: a second of difference is not a fault of the log.
    expect(times[0]).toBeGreaterThanOrEqual(before - 1_000);
    expect(times.at(-1)).toBeLessThanOrEqual(after + 1_000);
  });
}

function refusalCases(hold: Hold): void {
  hold('unknownTopic', async (bench) => {
    const log = await bench.open();
    const appended = log.append('no-such-topic', 0, 'device', value(0));
    await expect(appended).rejects.toThrow(UnknownTopicError);
    await expect(appended).rejects.toThrow(/no-such-topic/);
  });

  hold('unknownPartition', async (bench) => {
    const log = await bench.open();
    for (const partition of [3, -1, 0.5]) {
      await expect(log.append(bench.topic, partition, 'device', value(0))).rejects.toThrow(
        UnknownPartitionError,
      );
    }
  });

  hold('tooLarge', async (bench) => {
    const log = await bench.open();
    const [first, large, last] = await Promise.allSettled([
      log.append(bench.topic, 0, 'device', value(1)),
      log.append(bench.topic, 0, 'device', Buffer.alloc(RECORD_BYTES + 1)),
      log.append(bench.topic, 0, 'device', value(2)),
    ]);
    expect(first).toEqual({ status: 'fulfilled', value: 0n });
    expect(last).toEqual({ status: 'fulfilled', value: 1n });
    expect(large).toMatchObject({ status: 'rejected', reason: expect.any(RecordTooLargeError) });
  });
}

function consumeCases(hold: Hold): void {
  hold('endOffset', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const reading = await bench.read(log);
    await reading.until(10);
    expect(reading.batches.at(-1)?.endOffset).toBe(10n);
  });

  hold('durable', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 100);
    await log.close();
    const reopened = await bench.open();
    expect(await reopened.append(bench.topic, 0, 'device', value(100))).toBe(100n);
    const reading = await bench.read(reopened);
    await reading.until(101);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 101));
  });

  hold('resume', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const first = await bench.read(log, {
      commitOf: (batch) => ({ offset: (batch.records[0]?.offset ?? 0n) + 4n, metadata: 'state of four' }),
    });
    await first.until(10);
    await first.close();
    expect(first.assigned.get(0)).toBeUndefined();
    await log.close();

    const reopened = await bench.open();
    const second = await bench.read(reopened);
    await second.until(6);
    expect(second.assigned.get(0)).toEqual({ offset: 4n, metadata: 'state of four' });
    expect(second.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(4, 10));
  });

  hold('noCommit', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const first = await bench.read(log);
    await first.until(10);
    await first.close();
    const second = await bench.read(log);
    await second.until(10);
    expect(second.assigned.get(0)).toBeUndefined();
    expect(second.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 10));
  });

  hold('groups', async (bench) => {
    const log = await bench.open();
    const commitOf = (batch: RecordBatch) => ({ offset: endOf(batch), metadata: '' });
    const first = await bench.read(log, { commitOf });
    const second = await bench.read(log, { group: `${bench.group}-other`, commitOf });
    await appendNumbers(log, bench.topic, 0, 0, 10);
    await first.until(10);
    await second.until(10);
    expect(second.of(0)).toEqual(first.of(0));
  });

  hold('sequence', async (bench) => {
    const log = await bench.open();
    let running = 0;
    let most = 0;
    const reading = await bench.read(log, {
      before: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
      },
    });
    for (let i = 0; i < 30; i++) await log.append(bench.topic, 0, 'device', value(i));
    await reading.until(30);
    expect(most).toBe(1);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 30));
  });

  hold('rejection', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 10);
    const attempts: bigint[][] = [];
    const reading = await bench.read(log, {
      before: async (batch) => {
        attempts.push(batch.records.map(({ offset }) => offset));
        if (attempts.length <= 2) throw new Error(`refused, attempt ${attempts.length}`);
      },
    });
    await reading.until(10);
    expect(attempts[1]).toEqual(attempts[0]);
    expect(attempts[2]).toEqual(attempts[0]);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 10));
    expect(reading.errors.map(({ message }) => message)).toEqual(
      expect.arrayContaining(['refused, attempt 1', 'refused, attempt 2']),
    );
  });

  hold('closing', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 3);
    let entered = false;
    const first = await bench.read(log, {
      before: async ({ signal }) => {
        entered = true;
        await aborted(signal);
      },
      commitOf: (batch) => ({ offset: endOf(batch), metadata: 'returned while closing' }),
    });
    await vi.waitFor(() => expect(entered).toBe(true), PATIENCE);
    await first.close();
    const handled = first.of(0).length;
    expect(handled).toBeGreaterThan(0);

    const second = await bench.read(log);
    await vi.waitFor(() => expect(second.assigned.has(0)).toBe(true), PATIENCE);
    expect(second.assigned.get(0)).toEqual({ offset: BigInt(handled), metadata: 'returned while closing' });
  });
}

function groupCases(hold: Hold): void {
  hold('sharing', async (bench) => {
    const log = await bench.open();
    const commitOf = (batch: RecordBatch) => ({ offset: endOf(batch), metadata: '' });
    const first = await bench.read(log, { commitOf });
    await vi.waitFor(() => expect(first.owned.size).toBe(3), PATIENCE);
    const other = await bench.open();
    const second = await bench.read(other, { commitOf });
    await vi.waitFor(() => {
      expect(second.owned.size).toBeGreaterThan(0);
      expect([...first.owned, ...second.owned].toSorted()).toEqual([0, 1, 2]);
    }, PATIENCE);

    for (const partition of [0, 1, 2]) await appendNumbers(log, bench.topic, partition, 0, 10);
    await vi.waitFor(() => expect(first.count + second.count).toBeGreaterThanOrEqual(30), PATIENCE);
    expect(first.count).toBeGreaterThan(0);
    expect(second.count).toBeGreaterThan(0);

    await first.close();
    for (const partition of [0, 1, 2]) await appendNumbers(log, bench.topic, partition, 10, 20);
    await vi.waitFor(() => expect([...second.owned].toSorted()).toEqual([0, 1, 2]), PATIENCE);
    for (const partition of [0, 1, 2]) {
      await vi.waitFor(() => {
        const seen = [...first.of(partition), ...second.of(partition)].map(({ value }) => numberOf(value));
        expect([...new Set(seen)].toSorted((a, b) => a - b)).toEqual(numbers(0, 20));
      }, PATIENCE);
    }
  });

  hold('lost', async (bench) => {
    const log = await bench.open();
    for (const partition of [0, 1, 2]) await appendNumbers(log, bench.topic, partition, 0, 3);
    let held = 0;
    const first = await bench.read(log, {
      before: async ({ signal }) => {
        held++;
        await aborted(signal);
      },
      commitOf: (batch) => ({ offset: endOf(batch), metadata: 'stale' }),
    });
    await vi.waitFor(() => expect(held).toBeGreaterThan(0), PATIENCE);
    const other = await bench.open();
    const second = await bench.read(other);
    await vi.waitFor(() => expect(second.owned.size).toBeGreaterThan(0), PATIENCE);
    for (const partition of second.owned) expect(second.assigned.get(partition)).toBeUndefined();
    expect(first.errors.filter((error) => error instanceof TypeError)).toEqual([]);
  });
}

function faultCases(hold: Hold): void {
  hold('unavailable', async (bench) => {
    const log = await bench.open({ appendTimeoutMs: 1_500 });
    await log.append(bench.topic, 0, 'device', value(0));
    await bench.storage.makeUnavailable?.();
    const started = performance.now();
    await expect(log.append(bench.topic, 0, 'device', value(1))).rejects.toThrow(EventLogUnavailableError);
    const waited = performance.now() - started;
    expect(waited).toBeGreaterThan(1_000);
    expect(waited).toBeLessThan(6_000);
    await bench.storage.makeAvailable?.();
    await vi.waitFor(() => log.append(bench.topic, 0, 'device', value(2)), PATIENCE);
  });

  hold('interrupted', async (bench) => {
    const log = await bench.open({ appendTimeoutMs: 30_000 });
    const load = new Load(log, bench.topic);
    const progress = async () => {
      const before = load.acknowledgedCount;
      await vi.waitFor(() => expect(load.acknowledgedCount).toBeGreaterThan(before + 300), PATIENCE);
    };
    try {
      await progress();
      for (let round = 0; round < 2; round++) {
        await bench.storage.makeUnavailable?.();
        await new Promise((resolve) => setTimeout(resolve, 300));
        await bench.storage.makeAvailable?.();
        await progress();
      }
    } finally {
      await load.stop();
    }
    await log.close();
    await expectAcknowledged(bench, load.acknowledged);
  });

  hold('full', async (bench) => {
    const log = await bench.open({ maxPendingBytes: 256 * 1024 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => log.append(bench.topic, 0, `${i}`, Buffer.alloc(8 * 1024, i))),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(50);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(EventLogFullError);
    const stored = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(stored).toEqual(stored.map((_, i) => BigInt(i)));
    await expect(log.append(bench.topic, 0, 'device', value(0))).resolves.toBe(BigInt(stored.length));
  });

  hold('ping', async (bench) => {
    const log = await bench.open();
    await log.ping();
    if (bench.storage.makeUnavailable === undefined) return;
    await bench.storage.makeUnavailable();
    await expect(log.ping()).rejects.toMatchObject({ retryable: true });
    await bench.storage.makeAvailable?.();
    await vi.waitFor(() => log.ping(), PATIENCE);
  });
}

function lifeCycleCases(hold: Hold): void {
  hold('closed', async (bench) => {
    const log = await bench.open();
    await log.close();
    await expect(log.append(bench.topic, 0, 'device', value(0))).rejects.toThrow(EventLogClosedError);
  });

  hold('draining', async (bench) => {
    const log = await bench.open();
    const appended = numbers(0, 500).map((i) => log.append(bench.topic, 0, 'device', value(i)));
    await log.close();
    expect(await Promise.all(appended)).toEqual(numbers(0, 500).map(BigInt));
    const reading = await bench.read(await bench.open());
    await reading.until(500);
    expect(reading.of(0).map(({ value }) => numberOf(value))).toEqual(numbers(0, 500));
  });

  hold('closeTwice', async (bench) => {
    const log = await bench.open();
    await appendNumbers(log, bench.topic, 0, 0, 3);
    const reading = await bench.read(log, {
      commitOf: (batch) => ({ offset: endOf(batch), metadata: 'kept' }),
    });
    await reading.until(3);
    await Promise.all([log.close(), log.close()]);
    await reading.close();
    const again = await bench.read(await bench.open());
    await vi.waitFor(() => expect(again.assigned.get(0)).toEqual({ offset: 3n, metadata: 'kept' }), PATIENCE);
  });
}

/** What is acknowledged must be there in order; what is not may be there, also more than once. */
async function expectAcknowledged(bench: Bench, acknowledged: readonly (readonly number[])[]): Promise<void> {
  const reading = await bench.read(await bench.open());
  for (const [partition, expected] of acknowledged.entries()) {
    const wanted = new Set(expected);
    await vi.waitFor(() => {
      const seen = reading.of(partition).map(({ value }) => numberOf(value));
      // A retry of an append whose first attempt was stored unnoticed stores it twice: the first one counts.
      expect([...new Set(seen.filter((i) => wanted.has(i)))]).toEqual(expected);
    }, PATIENCE);
  }
}

/** Appends to three partitions without a pause, each burst after the outcomes of the one before. */
class Load {
  /** By partition, in the order of the calls. */
  readonly acknowledged: number[][] = [[], [], []];
  readonly #done: Promise<unknown>;
  #stopped = false;
  #sent = 0;

  constructor(log: EventLog, topic: string) {
    this.#done = Promise.all(
      this.acknowledged.map((kept, partition) => this.#run(log, topic, partition, kept)),
    );
  }

  get acknowledgedCount(): number {
    return this.acknowledged.flat().length;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(log: EventLog, topic: string, partition: number, kept: number[]): Promise<void> {
    while (!this.#stopped) {
      const burst = Array.from({ length: 20 }, () => this.#sent++);
      const outcomes = await Promise.allSettled(
        burst.map((i) => log.append(topic, partition, 'device', value(i))),
      );
      kept.push(...burst.filter((_, index) => outcomes[index]?.status === 'fulfilled'));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

interface ReadOptions {
  readonly group?: string;
  /** Runs before the batch counts as handled. */
  before?(batch: RecordBatch): Promise<void>;
  commitOf?(batch: RecordBatch): Commit;
}

interface KeptRecord {
  readonly offset: bigint;
  readonly logTime: number;
  readonly key: string;
  readonly value: Buffer;
}

/** A consumer that keeps a copy of everything it was given. */
class Reading {
  readonly assigned = new Map<number, Commit | undefined>();
  readonly owned = new Set<number>();
  readonly batches: RecordBatch[] = [];
  readonly errors: Error[] = [];
  readonly #records = new Map<number, KeptRecord[]>();
  #consumer: Consumer | undefined;

  async start(log: EventLog, topic: string, group: string, read: ReadOptions): Promise<void> {
    const options: ConsumeOptions = {
      topic,
      group,
      onAssigned: (partition, committed) => {
        this.assigned.set(partition, committed);
        this.owned.add(partition);
      },
      onRevoked: (partition) => void this.owned.delete(partition),
      onBatch: async (batch) => {
        await read.before?.(batch);
        this.batches.push(batch);
        this.#keep(batch);
        return read.commitOf?.(batch);
      },
      onError: (error) => void this.errors.push(error),
    };
    this.#consumer = await log.consume(options);
  }

  get count(): number {
    return [...this.#records.values()].reduce((sum, records) => sum + records.length, 0);
  }

  of(partition: number): readonly KeptRecord[] {
    return this.#records.get(partition) ?? [];
  }

  async until(count: number): Promise<void> {
    await vi.waitFor(() => expect(this.count).toBeGreaterThanOrEqual(count), PATIENCE);
  }

  async close(): Promise<void> {
    await this.#consumer?.close();
    this.owned.clear();
  }

  #keep({ partition, records }: RecordBatch): void {
    const kept = this.#records.get(partition) ?? [];
    this.#records.set(partition, kept);
    for (const record of records) kept.push(copyOf(record));
  }
}

/** What a test opens, closed again whatever happens. */
class Bench {
  readonly topic = `contract-${randomUUID()}`;
  readonly group = `group-${randomUUID()}`;
  readonly storage: EventLogStorage;
  readonly #logs: EventLog[] = [];
  readonly #readings: Reading[] = [];

  constructor(storage: EventLogStorage) {
    this.storage = storage;
  }

  async open(options: Partial<OpenLogOptions> = {}): Promise<EventLog> {
    const topic = { name: this.topic, partitions: 3, retentionMs: 3_600_000, maxRecordBytes: RECORD_BYTES };
    const log = await this.storage.openLog({ topics: [topic], ...options });
    this.#logs.push(log);
    return log;
  }

  async read(log: EventLog, options: ReadOptions = {}): Promise<Reading> {
    const reading = new Reading();
    this.#readings.push(reading);
    await reading.start(log, this.topic, options.group ?? this.group, options);
    return reading;
  }

  async cleanUp(): Promise<void> {
    await this.storage.makeAvailable?.();
    await Promise.all(this.#readings.map((reading) => reading.close()));
    await Promise.all(this.#logs.map((log) => log.close()));
    await this.storage.cleanUp();
  }
}

function copyOf({ offset, logTime, key, value }: LogRecord): KeptRecord {
  return { offset, logTime, key: key.toString('utf8'), value: Buffer.from(value) };
}

function value(i: number): Buffer {
  return Buffer.from(JSON.stringify({ i }));
}

function numberOf(bytes: Buffer): number {
  return Number(/^\{"i":(\d+)\}$/.exec(bytes.toString('utf8'))?.[1]);
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

async function appendNumbers(log: EventLog, topic: string, partition: number, from: number, to: number) {
  await Promise.all(numbers(from, to).map((i) => log.append(topic, partition, 'device', value(i))));
}

function endOf(batch: RecordBatch): bigint {
  return (batch.records.at(-1)?.offset ?? -1n) + 1n;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
