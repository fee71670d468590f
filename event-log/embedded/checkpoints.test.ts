import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EventLogFullError, EventLogUnavailableError } from '../errors.ts';
import { Checkpoints } from './checkpoints.ts';
import { HeldWrites } from './held-writes.fixture.ts';
import { Store } from './store.ts';

const held = new HeldWrites();
let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-checkpoints-'));
  store = new Store(folder);
});
afterEach(async () => {
  await held.release();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

test('partitions saved at once take turns, so that appends wait for one checkpoint and not for all', async () => {
  const write = store.write.bind(store);
  let running = 0;
  let most = 0;
  vi.spyOn(store, 'write').mockImplementation(async (...args) => {
    most = Math.max(most, ++running);
    await write(...args);
    running--;
  });
  const checkpoints = new Checkpoints(store, 10_000);
  const partitions = [0, 1, 2, 3, 4, 5];
  await Promise.all(partitions.map((p) => checkpoints.save('group', p, Buffer.from(`${p}`))));
  expect(most).toBe(1);
  for (const p of partitions) expect(checkpoints.load('group', p).map(String)).toEqual([`${p}`]);
});

test('one that is late in its turn may be written yet, one that is late before it never is', async () => {
  const checkpoints = new Checkpoints(store, 300);
  await checkpoints.save('group', 0, Buffer.from('before'));
  await held.hold(folder);
  const saves = ['in its turn', 'before its turn'].map((text, p) =>
    checkpoints.save('group', p, Buffer.from(text)),
  );
  for (const outcome of await Promise.allSettled(saves)) {
    expect(outcome).toMatchObject({ reason: expect.any(EventLogUnavailableError) });
  }
  await held.release();
  await checkpoints.close();
  expect(checkpoints.load('group', 0).map(String)).toEqual(['in its turn', 'before']);
  expect(checkpoints.load('group', 1)).toEqual([]);
});

test('more than 1,024 that wait for their turn are refused at once', async () => {
  const checkpoints = new Checkpoints(store, 300);
  await held.hold(folder);
  const saves = Array.from({ length: 1_026 }, (_, p) => checkpoints.save('group', p, Buffer.alloc(1)));
  const outcomes = Promise.allSettled(saves);
  await expect(saves.at(-1)).rejects.toThrow(EventLogFullError);
  await held.release();
  await outcomes;
  await checkpoints.close();
});
