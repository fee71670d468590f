import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { endProcess, identifyProcess, isRunning, type ProcessIdentity } from './process-identity.ts';

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process that runs until it is signalled, once it has run `script`. */
async function startProcess(script = ''): Promise<{ child: ChildProcess; identity: ProcessIdentity }> {
  const program = `${script}; setInterval(() => {}, 60_000); console.log('ready')`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  const identity = identifyProcess(child.pid ?? 0);
  if (identity === undefined) throw new Error('the process that was just started has no identity');
  return { child, identity };
}

test('a process is ended with SIGTERM when that is enough', async () => {
  const { child, identity } = await startProcess();
  const exit = once(child, 'exit');
  expect(isRunning(identity)).toBe(true);
  expect(await endProcess(identity, 10_000)).toBe(true);
  expect(await exit).toEqual([null, 'SIGTERM']);
  expect(isRunning(identity)).toBe(false);
});

test('a process that ignores SIGTERM is killed after the grace', async () => {
  const { child, identity } = await startProcess("process.on('SIGTERM', () => {})");
  const exit = once(child, 'exit');
  expect(await endProcess(identity, 200)).toBe(true);
  expect(await exit).toEqual([null, 'SIGKILL']);
});

test('a process that got the pid of an ended one is not signalled', async () => {
  const { child, identity } = await startProcess();
  const predecessor = { pid: identity.pid, startedAt: `${identity.startedAt}0` };
  expect(isRunning(predecessor)).toBe(false);
  expect(await endProcess(predecessor, 0)).toBe(false);
  expect(isRunning(identity)).toBe(true);
  expect(child.killed).toBe(false);
});

test('a pid that nobody has has no identity', () => {
  expect(identifyProcess(2 ** 22 + 1)).toBeUndefined();
});
