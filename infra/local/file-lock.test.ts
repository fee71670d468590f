import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withFileLock } from './file-lock.ts';
import { identifyProcess } from './process-identity.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-lock-'));
  path = join(folder, 'inner/lock');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('tasks under the same lock run one after another', async () => {
  let inside = 0;
  let most = 0;
  const task = async () => {
    most = Math.max(most, ++inside);
    await nextTurn();
    inside--;
  };
  await Promise.all([1, 2, 3].map(() => withFileLock(path, 10_000, task)));
  expect(most).toBe(1);
  expect(existsSync(path)).toBe(false);
});

test('a task that fails releases the lock', async () => {
  const failing = withFileLock(path, 1_000, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(await withFileLock(path, 1_000, async () => 'done')).toBe('done');
});

test('the lock of a process that ended is taken over', async () => {
  await withFileLock(path, 1_000, async () => {});
  writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: 'another boot/1' }));
  expect(await withFileLock(path, 1_000, async () => 'done')).toBe('done');
});

test('waiting for the lock of a running process ends at the deadline', async () => {
  await withFileLock(path, 1_000, async () => {});
  writeFileSync(path, JSON.stringify(identifyProcess(process.pid)));
  await expect(withFileLock(path, 120, async () => {})).rejects.toThrow(`"pid":${process.pid}`);
});
