import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identifyProcess, isRunning, parseIdentity } from './process-identity.ts';

let attempts = 0;

/**
 * Runs `task` while this process holds the lock file at `path`. Another holder is waited for up to `deadlineMs`; the lock of
 * a process that ended without releasing it is taken over.
 */
export async function withFileLock<Result>(
  path: string,
  deadlineMs: number,
  task: () => Promise<Result>,
): Promise<Result> {
  const mine = JSON.stringify(identifyProcess(process.pid));
  mkdirSync(dirname(path), { recursive: true });
  const deadline = Date.now() + deadlineMs;
  while (!acquire(path, mine)) {
    if (Date.now() > deadline)
      throw new Error(`${path} has been held by ${readLock(path)} for ${deadlineMs} ms`);
    await delay(50);
  }
  try {
    return await task();
  } finally {
    rmSync(path, { force: true });
  }
}

function acquire(path: string, mine: string): boolean {
  const holder = readLock(path);
  if (holder !== undefined && isHeld(holder)) return false;
  const own = `${path}.${process.pid}.${++attempts}`;
  if (holder !== undefined) discardStale(path, holder, own);
  // A link appears with its content, so that nobody ever reads a lock that does not name its holder yet.
  writeFileSync(own, mine);
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Two waiters may both see the stale lock: the slower one must not throw away the lock that the faster one made. */
function discardStale(path: string, stale: string, aside: string): void {
  try {
    renameSync(path, aside);
    if (readLock(aside) !== stale) linkSync(aside, path);
  } catch {
    return;
  }
  rmSync(aside, { force: true });
}

function isHeld(holder: string): boolean {
  const identity = parseIdentity(holder);
  return identity !== undefined && isRunning(identity);
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
