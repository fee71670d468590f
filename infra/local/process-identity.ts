import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that cannot be mistaken for a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When the kernel started it, in the kernel's own notation; opaque, compared for equality only. */
  readonly startedAt: string;
}

/** The identity of the process that has `pid` at this moment; `undefined` when none runs (a zombie does not run). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const startedAt = process.platform === 'linux' ? startInProc(pid) : startInPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

/** Whether that very process still runs: false once it ended, even if its pid was given to another one. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startedAt === identity.startedAt;
}

/** The identity that `JSON.stringify` made of one; `undefined` when `json` is not one. */
export function parseIdentity(json: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isIdentity(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isIdentity(value: unknown): value is ProcessIdentity {
  if (typeof value !== 'object' || value === null || !('pid' in value) || !('startedAt' in value))
    return false;
  return Number.isInteger(value.pid) && typeof value.startedAt === 'string';
}

/**
 * Ends exactly that process and resolves once it is gone: SIGTERM, then SIGKILL after `graceMs`. With a grace of 0 it is
 * SIGKILL at once. Resolves to false, and signals nothing, when the process does not run any more.
 */
export async function endProcess(identity: ProcessIdentity, graceMs: number): Promise<boolean> {
  if (!isRunning(identity)) return false;
  if (graceMs > 0) {
    signal(identity, 'SIGTERM');
    if (await hasEnded(identity, graceMs)) return true;
  }
  signal(identity, 'SIGKILL');
  if (await hasEnded(identity, 10_000)) return true;
  throw new Error(`process ${identity.pid} is still there 10 s after SIGKILL`);
}

function signal(identity: ProcessIdentity, name: 'SIGTERM' | 'SIGKILL'): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

async function hasEnded(identity: ProcessIdentity, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (isRunning(identity)) {
    if (Date.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

function startInProc(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command name may hold blanks and brackets: the fields are counted from its closing bracket, state first.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTicks = fields[19];
  if (state === 'Z' || state === 'X' || startTicks === undefined) return undefined;
  // Ticks count from boot, so they say nothing across a reboot.
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${startTicks}`;
}

function startInPs(pid: number): string | undefined {
  try {
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return started === '' ? undefined : started;
  } catch {
    return undefined;
  }
}
