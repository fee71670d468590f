import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { PendingAppend } from '../group-commit.ts';
import { AppendCommit } from './append-commit.ts';
import { PartitionLog } from './partition-log.ts';
import { Store } from './store.ts';

let folder: string;
let store: Store;
let log: PartitionLog;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-append-'));
  store = new Store(folder);
  log = new PartitionLog(store, 'topic', 0);
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

const appendOf = (key: string): PendingAppend => ({
  topic: 'topic',
  partition: 0,
  key,
  value: Buffer.from(key),
});

test('while the write is held up nothing is acknowledged, moved or delivered', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = {
    write: (writes: Parameters<Store['write']>[0]) => held.then(() => store.write(writes, 'growth')),
  };
  const commit = new AppendCommit(slow, () => log, Date.now);
  const acknowledged = vi.fn();
  const woken = vi.fn();
  const run = commit.run([appendOf('a')]).then(acknowledged);
  const waiting = log.beyond(0n, new AbortController().signal).then(woken);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(acknowledged).not.toHaveBeenCalled();
  expect(woken).not.toHaveBeenCalled();
  expect(log.endOffset).toBe(0n);

  release();
  await Promise.all([run, waiting]);
  expect(acknowledged).toHaveBeenCalledWith([0n]);
  expect(log.endOffset).toBe(1n);
});

test('log time stays when the clock runs back, and is restored on reopening', async () => {
  let now = 1_000;
  const commit = new AppendCommit(
    store,
    () => log,
    () => now,
  );
  await commit.run([appendOf('a')]);
  now = 400;
  await commit.run([appendOf('b')]);
  expect([log.readFrom(0n)?.next()?.logTime, log.readFrom(1n)?.next()?.logTime]).toEqual([1_000, 1_000]);

  const reopened = new PartitionLog(store, 'topic', 0);
  await new AppendCommit(
    store,
    () => reopened,
    () => 500,
  ).run([appendOf('c')]);
  expect(reopened.readFrom(2n)?.next()?.logTime).toBe(1_000);
  now = 2_000;
});

test('a write that failed and reached the store all the same keeps its offsets', async () => {
  const liar = {
    failing: true,
    async write(writes: Parameters<Store['write']>[0]) {
      await store.write(writes, 'growth');
      if (this.failing) throw new Error('lost the answer');
    },
  };
  const commit = new AppendCommit(liar, () => log, Date.now);
  await expect(commit.run([appendOf('a'), appendOf('b')])).rejects.toThrow('lost the answer');
  liar.failing = false;
  expect(await commit.run([appendOf('a'), appendOf('b')])).toEqual([2n, 3n]);
  expect(log.readFrom(1n)?.next()?.key.toString()).toBe('b');
  expect(log.readFrom(2n)?.next()?.key.toString()).toBe('a');
});
