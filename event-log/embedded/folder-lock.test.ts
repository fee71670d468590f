import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventLogFolderError } from '../errors.ts';
import { lockFolder } from './folder-lock.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-lock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a folder has one owner at a time, and the refusal names the folder, the process and the way out', async () => {
  const lock = await lockFolder(folder);
  const second = lockFolder(folder);
  await expect(second).rejects.toThrow(EventLogFolderError);
  await expect(second).rejects.toThrow(
    `${folder} belongs to the running process ${process.pid}; stop that process or name another folder`,
  );
  await lock.release();
  const next = await lockFolder(folder);
  await next.release();
});

test('of many that ask at once exactly one becomes the owner, with and without a stale lock', async () => {
  for (let round = 0; round < 5; round++) {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
    const owners = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(owners.length).toBe(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(EventLogFolderError);
    }
    await Promise.all(owners.map(({ value }) => value.release()));
  }
});

test('the lock of a process that was killed is taken over, and nothing of it is left behind', async () => {
  for (let round = 0; round < 2; round++) {
    const owner = await killedOwner(join(folder, `owner-${3 + round * 2}.sock`));
    expect(await readdir(folder)).toContain(owner);
    const lock = await lockFolder(folder);
    expect((await readdir(folder)).toSorted()).toEqual([`owner-${4 + round * 2}.sock`, 'owner.pid']);
    await lock.release();
    await rm(join(folder, 'owner.pid'));
  }
});

test('an owner that is too busy to answer is still the owner', async () => {
  const server = createServer();
  await once(server.listen(join(folder, 'owner-1.sock')), 'listening');
  await expect(lockFolder(folder)).rejects.toThrow(/belongs to the running process unknown/);
  await new Promise((resolve) => server.close(resolve));
});

test('a folder whose path is too long for a socket is locked all the same', async () => {
  const deep = join(folder, 'd'.repeat(100), 'e'.repeat(100));
  const lock = await lockFolder(deep);
  await expect(lockFolder(deep)).rejects.toThrow(EventLogFolderError);
  await lock.release();
  const again = await lockFolder(deep);
  await again.release();
});

/** A process that listened on the path and died by SIGKILL; resolves with the name of what it left. */
async function killedOwner(path: string): Promise<string> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('listening'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  return path.slice(folder.length + 1);
}
