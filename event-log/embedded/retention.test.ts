import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RecordsExpiredError } from '../errors.ts';
import type { Commit, EventLog } from '../event-log.ts';
import { encodeCommit } from './commit-record.ts';
import { openEmbeddedEventLog } from './embedded-event-log.ts';
import { commitKey, floorKey } from './keys.ts';
import { PartitionLog } from './partition-log.ts';
import { Store } from './store.ts';

const TOPIC = { name: 'topic', partitions: 1, retentionMs: 10_000, maxRecordBytes: 1_000 };
const PATIENCE = { timeout: 10_000, interval: 20 };

let folder: string;
let now = 100_000;
const logs: EventLog[] = [];
beforeEach(async () => {
  now = 100_000;
  folder = await mkdtemp(join(tmpdir(), 'sluice-retention-'));
});
afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.close()));
  await rm(folder, { recursive: true, force: true });
});

async function open(): Promise<EventLog> {
  const log = await openEmbeddedEventLog({ folder, topics: [TOPIC], clock: () => now });
  logs.push(log);
  return log;
}

async function appendAt(log: EventLog, time: number, key: string): Promise<bigint> {
  now = time;
  return log.append('topic', 0, key, Buffer.from(key));
}

/** Everything that a new group is given until the end of the partition. */
async function read(log: EventLog, group: string, commit?: Commit) {
  const keys: string[] = [];
  const errors: Error[] = [];
  const consumer = await log.consume({
    topic: 'topic',
    group,
    onAssigned: () => undefined,
    onRevoked: () => undefined,
    onBatch: async ({ records }) => {
      keys.push(...records.map(({ key }) => key.toString()));
      return commit;
    },
    onError: (error) => void errors.push(error),
  });
  return { keys, errors, consumer };
}

describe('retention', () => {
  test('records older than the retention go, younger ones stay and are where a new group starts', async () => {
    const log = await open();
    await appendAt(log, 100_000, 'old');
    await appendAt(log, 105_000, 'middle');
    await appendAt(log, 112_000, 'young');
    await vi.waitFor(async () => {
      const { keys, errors, consumer } = await read(log, `group-${performance.now()}`);
      await vi.waitFor(() => expect(keys.length).toBeGreaterThan(0), PATIENCE);
      await consumer.close();
      expect(keys).toEqual(['middle', 'young']);
      expect(errors).toEqual([]);
    }, PATIENCE);
  });

  test('a group that fell behind goes on at the first record present and is told what it missed', async () => {
    const log = await open();
    await appendAt(log, 100_000, 'a');
    await appendAt(log, 100_500, 'b');
    const first = await read(log, 'group', { offset: 1n, metadata: '' });
    await vi.waitFor(() => expect(first.keys).toEqual(['a', 'b']), PATIENCE);
    await first.consumer.close();
    await appendAt(log, 200_000, 'c');
    await vi.waitFor(async () => {
      const { keys, consumer } = await read(log, `probe-${performance.now()}`);
      await vi.waitFor(() => expect(keys.length).toBeGreaterThan(0), PATIENCE);
      await consumer.close();
      expect(keys).toEqual(['c']);
    }, PATIENCE);

    const second = await read(log, 'group');
    await vi.waitFor(() => expect(second.keys).toEqual(['c']), PATIENCE);
    expect(second.errors).toEqual([expect.any(RecordsExpiredError)]);
    expect(second.errors[0]?.message).toBe(
      'retention removed offsets 1 to 1 of topic/0 before they were read',
    );
  });

  test('a group whose records are all gone is told once and goes on with the next', async () => {
    const store = new Store(folder);
    await store.write(
      [
        {
          kind: 'put',
          key: commitKey('group', 'topic', 0),
          value: encodeCommit({ offset: 3n, metadata: '' }),
        },
        {
          kind: 'put',
          key: floorKey('topic', 0),
          value: Buffer.from('000000000000000900000000000003e8', 'hex'),
        },
      ],
      'upkeep',
    );
    await store.close();
    const log = await open();
    const { keys, errors } = await read(log, 'group');
    await vi.waitFor(() => expect(errors.length).toBe(1), PATIENCE);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(await appendAt(log, 100_000, 'next')).toBe(9n);
    await vi.waitFor(() => expect(keys).toEqual(['next']), PATIENCE);
    expect(errors.map(({ message }) => message)).toEqual([
      'retention removed offsets 3 to 8 of topic/0 before they were read',
    ]);
  });
});

describe('a partition', () => {
  test('keeps its end and its log time when every batch is gone, also across a reopening', async () => {
    const store = new Store(folder);
    const partition = new PartitionLog(store, 'topic', 0);
    for (const [time, count] of [
      [5_000, 2],
      [6_000, 3],
    ] as const) {
      const appends = Array.from({ length: count }, () => ({
        topic: 'topic',
        partition: 0,
        key: 'k',
        value: Buffer.alloc(1),
      }));
      const staged = partition.stage(appends, time);
      await store.write([staged.write], 'growth');
      partition.advance(staged);
    }
    expect(partition.expire(5_000, 10)).toEqual([]);
    expect(partition.expire(5_001, 10).filter(({ kind }) => kind === 'remove').length).toBe(1);
    expect(partition.expire(9_000, 1).filter(({ kind }) => kind === 'remove').length).toBe(1);
    await store.write(partition.expire(9_000, 10), 'upkeep');
    expect(partition.firstOffset()).toBe(5n);
    expect(partition.readFrom(0n)).toBeUndefined();

    const restored = new PartitionLog(store, 'topic', 0);
    expect(restored.endOffset).toBe(5n);
    expect(restored.stage([], 1).logTime).toBe(6_000);
    await store.close();
  });
});
