import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EventLogClosedError, GroupBusyError, UnknownTopicError } from '../errors.ts';
import type { ConsumeOptions, EventLog, RecordBatch } from '../event-log.ts';
import { DamagedBatchError } from './damaged-batch-error.ts';
import { openEmbeddedEventLog } from './embedded-event-log.ts';
import { BatchKeys } from './keys.ts';
import { Store } from './store.ts';

const TOPIC = { name: 'topic', partitions: 2, retentionMs: 3_600_000, maxRecordBytes: 4 * 1024 * 1024 };
const PATIENCE = { timeout: 10_000, interval: 10 };

let folder: string;
let log: EventLog;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-consumer-'));
  log = await open();
});
afterEach(async () => {
  await log.close();
  await rm(folder, { recursive: true, force: true });
});

const open = () => openEmbeddedEventLog({ folder, topics: [TOPIC] });
const append = (key: string, value = Buffer.alloc(10)) => log.append('topic', 0, key, value);

function options(overrides: Partial<ConsumeOptions> = {}): ConsumeOptions {
  return {
    topic: 'topic',
    group: 'group',
    onAssigned: () => undefined,
    onRevoked: () => undefined,
    onBatch: async () => undefined,
    onError: (error) => {
      throw error;
    },
    ...overrides,
  };
}

/** Keys by batch. */
function collecting(overrides: Partial<ConsumeOptions> = {}) {
  const batches: string[][] = [];
  const onBatch = async ({ records }: RecordBatch) => {
    batches.push(records.map(({ key }) => key.toString()));
    return undefined;
  };
  return { batches, options: options({ onBatch, ...overrides }) };
}

test('a group has one consumer on a topic, and the next one may come when it is closed', async () => {
  const first = await log.consume(options());
  const second = log.consume(options());
  await expect(second).rejects.toThrow(GroupBusyError);
  await expect(second).rejects.toThrow(/the group group already has its consumer on topic/);
  const other = await log.consume(options({ group: 'other' }));
  await first.close();
  const third = await log.consume(options());
  await Promise.all([third.close(), other.close(), first.close()]);
});

test('an unknown topic and a closed log are refused by name', async () => {
  await expect(log.consume(options({ topic: 'other' }))).rejects.toThrow(UnknownTopicError);
  await log.close();
  await expect(log.consume(options())).rejects.toThrow(EventLogClosedError);
  await expect(log.ping()).rejects.toThrow(EventLogClosedError);
});

test('small commits are delivered together and large ones in parts of 1,000 records', async () => {
  for (let i = 0; i < 20; i++) await append(`small-${i}`);
  await Promise.all(Array.from({ length: 2_500 }, (_, i) => append(`large-${i}`)));
  const { batches, options } = collecting();
  await log.consume(options);
  await vi.waitFor(() => expect(batches.flat().length).toBe(2_520), PATIENCE);
  expect(batches.map((keys) => keys.length)).toEqual([1_000, 1_000, 520]);
  expect(batches.flat().slice(18, 22)).toEqual(['small-18', 'small-19', 'large-0', 'large-1']);
});

test('a batch holds about a mebibyte, and at least one record', async () => {
  await Promise.all(Array.from({ length: 5 }, (_, i) => append(`half-${i}`, Buffer.alloc(512 * 1024))));
  await append('three', Buffer.alloc(3 * 1024 * 1024));
  const { batches, options } = collecting();
  await log.consume(options);
  await vi.waitFor(() => expect(batches.flat().length).toBe(6), PATIENCE);
  expect(batches).toEqual([
    ['half-0', 'half-1'],
    ['half-2', 'half-3'],
    ['half-4', 'three'],
  ]);
});

test('an idle consumer is woken by the append itself', async () => {
  const { batches, options } = collecting();
  await log.consume(options);
  for (let i = 0; i < 5; i++) {
    await append(`${i}`);
    await vi.waitFor(() => expect(batches.flat().length).toBe(i + 1), { timeout: 1_000, interval: 1 });
  }
});

test('a partition whose handler waits does not hold up the others', async () => {
  const seen: number[] = [];
  const onBatch = async ({ partition, signal }: RecordBatch) => {
    seen.push(partition);
    if (partition === 0) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return undefined;
  };
  const consumer = await log.consume(options({ onBatch }));
  await append('held');
  await vi.waitFor(() => expect(seen).toEqual([0]), PATIENCE);
  await log.append('topic', 1, 'free', Buffer.alloc(1));
  await vi.waitFor(() => expect(seen).toEqual([0, 1]), PATIENCE);
  await consumer.close();
});

test('many partitions wait for records without Node suspecting a leak of listeners', async () => {
  const warnings: string[] = [];
  const keep = ({ message }: Error) => void warnings.push(message);
  process.on('warning', keep);
  const partitions = 24;
  const wide = { ...TOPIC, name: 'wide', partitions };
  const other = await openEmbeddedEventLog({ folder: join(folder, 'wide'), topics: [wide] });
  try {
    const seen: string[] = [];
    const consumers = ['a', 'b'].map((group) =>
      other.consume(
        options({
          topic: 'wide',
          group,
          onBatch: async ({ partition, records }) => {
            for (const { key } of records) seen.push(`${group} ${partition} ${key}`);
            return undefined;
          },
        }),
      ),
    );
    await Promise.all(consumers);
    for (const round of ['first', 'second']) {
      for (let partition = 0; partition < partitions; partition++) {
        await other.append('wide', partition, round, Buffer.alloc(1));
      }
      const expected = round === 'first' ? 2 * partitions : 4 * partitions;
      await vi.waitFor(() => expect(seen.length).toBe(expected), PATIENCE);
    }
  } finally {
    await other.close();
    process.off('warning', keep);
  }
  expect(warnings).toEqual([]);
});

test('a handler that gives up when told to is not reported', async () => {
  const onError = vi.fn();
  let entered = false;
  const onBatch = ({ signal }: RecordBatch) => {
    entered = true;
    return new Promise<undefined>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('told to stop')));
    });
  };
  const consumer = await log.consume(options({ onBatch, onError }));
  await append('a');
  await vi.waitFor(() => expect(entered).toBe(true), PATIENCE);
  await consumer.close();
  expect(onError).not.toHaveBeenCalled();
});

test('an assignment that fails is reported and made again', async () => {
  await append('a');
  const errors: Error[] = [];
  let assignments = 0;
  const { batches, options } = collecting({
    onAssigned: async (partition) => {
      if (partition === 0 && assignments++ === 0) throw new Error('not yet');
    },
    onError: (error) => void errors.push(error),
  });
  await log.consume(options);
  await vi.waitFor(() => expect(batches).toEqual([['a']]), PATIENCE);
  expect(errors.map(({ message }) => message)).toEqual(['not yet']);
});

/** Changes one byte of a stored batch while the log is closed. */
async function damage(baseOffset: bigint): Promise<void> {
  await log.close();
  const store = new Store(folder);
  const keys = new BatchKeys('topic', 0);
  const [key] = store.keys({ start: keys.lastAt(baseOffset), end: keys.first, reverse: true, limit: 1 });
  const value = key === undefined ? undefined : store.get(key);
  if (key === undefined || value === undefined) throw new Error('there is no such batch');
  const last = value.length - 1;
  value[last] = (value[last] ?? 0) ^ 1;
  await store.write([{ kind: 'put', key, value: Buffer.from(value) }], 'upkeep');
  await store.close();
}

test('a damaged batch is reported by name again and again, and nothing behind it is delivered', async () => {
  for (const key of ['a', 'b', 'c', 'd']) await append(key);
  await damage(2n);
  log = await open();
  const errors: Error[] = [];
  const { batches, options } = collecting({ onError: (error) => void errors.push(error) });
  await log.consume(options);
  await vi.waitFor(() => expect(errors.length).toBeGreaterThan(1), PATIENCE);
  expect(batches.flat()).toEqual(['a', 'b']);
  for (const error of errors) expect(error).toBeInstanceOf(DamagedBatchError);
  expect(errors[0]?.message).toBe('the batch of topic/0 that starts at offset 2 is damaged');
  await append('e');
  expect(batches.flat()).toEqual(['a', 'b']);
});

test('a log whose last batch is damaged is not opened, for its end is not known', async () => {
  for (const key of ['a', 'b']) await append(key);
  await damage(1n);
  await expect(open()).rejects.toThrow('the batch of topic/0 that starts at offset 1 is damaged');
});
