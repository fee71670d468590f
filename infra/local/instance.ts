import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { withFileLock } from './file-lock.ts';
import { chooseFreePorts } from './free-port.ts';
import type { Address, Command, LocalServer } from './local-server.ts';
import {
  endProcess,
  identifyProcess,
  isIdentity,
  isRunning,
  type ProcessIdentity,
} from './process-identity.ts';

/** What a folder remembers of one server: `ports` from its first start on, `process` while it is meant to run. */
interface InstanceRecord {
  readonly ports: readonly number[];
  readonly process?: ProcessIdentity;
}

export type RunningInstance = Address & { readonly pid: number };

export type InstanceState =
  | ({ readonly state: 'running' | 'unresponsive' } & RunningInstance)
  | ({ readonly state: 'stopped' } & Address)
  | { readonly state: 'absent' };

/** A server did not come up. The message ends with the last lines of its log. */
export class ServerStartError extends Error {
  readonly code = 'SLUICE_LOCAL_SERVER_START';
  readonly retryable = false;
  override readonly name = 'ServerStartError';
}

export interface StartOptions {
  readonly report: (line: string) => void;
  /** How long fetching what is not installed yet may take, ms. */
  readonly installLimitMs: number;
}

/** How long a server may take to end after SIGTERM before it is killed. */
const STOP_GRACE_MS = 20_000;

/**
 * Starts the server in `folder` (one folder per server, made when missing) and resolves once it answers. One that runs
 * already is left alone. The process outlives this one; a folder's ports and what it stored stay the same from start to start.
 */
export function startInstance(
  server: LocalServer,
  folder: string,
  { report, installLimitMs }: StartOptions,
): Promise<RunningInstance> {
  return locked(server, folder, async () => {
    const record = readRecord(folder) ?? { ports: await chooseFreePorts(server.portCount) };
    if (record.process !== undefined && isRunning(record.process)) {
      await waitForAnswer(server, folder, record.ports, record.process);
      return running(server, record.ports, record.process);
    }
    await server.requireTools();
    await server.install(report, installLimitMs);
    const identity = await spawnDetached(await server.prepare(folder, record.ports), logFile(server, folder));
    writeRecord(folder, { ...record, process: identity });
    await waitForAnswer(server, folder, record.ports, identity);
    return running(server, record.ports, identity);
  });
}

/** Ends the server that was started in `folder`, with SIGKILL at once if `kill`; resolves to whether one was running. */
export function stopInstance(server: LocalServer, folder: string, kill: boolean): Promise<boolean> {
  if (readRecord(folder) === undefined) return Promise.resolve(false);
  return locked(server, folder, async () => {
    const record = readRecord(folder);
    if (record?.process === undefined) return false;
    const wasRunning = await endProcess(record.process, kill ? 0 : STOP_GRACE_MS);
    writeRecord(folder, { ports: record.ports });
    return wasRunning;
  });
}

/** What is true of the server in `folder` at this moment. */
export async function inspectInstance(server: LocalServer, folder: string): Promise<InstanceState> {
  const record = readRecord(folder);
  if (record === undefined) return { state: 'absent' };
  const port = clientPort(record.ports);
  if (record.process === undefined || !isRunning(record.process)) {
    return { state: 'stopped', ...server.address(port) };
  }
  const state = (await server.answers(port)) ? 'running' : 'unresponsive';
  return { state, ...running(server, record.ports, record.process) };
}

function locked<Result>(server: LocalServer, folder: string, task: () => Promise<Result>): Promise<Result> {
  return withFileLock(join(folder, 'lock'), server.startDeadlineMs + STOP_GRACE_MS + 300_000, task);
}

async function spawnDetached(command: Command, log: string): Promise<ProcessIdentity> {
  const output = openSync(log, 'a');
  const child = spawn(command.program, command.args, { detached: true, stdio: ['ignore', output, output] });
  try {
    await once(child, 'spawn');
  } finally {
    closeSync(output);
  }
  child.unref();
  const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
  if (identity === undefined)
    throw new ServerStartError(`${command.program} ended at once\n${lastLines(log)}`);
  return identity;
}

async function waitForAnswer(
  server: LocalServer,
  folder: string,
  ports: readonly number[],
  identity: ProcessIdentity,
): Promise<void> {
  const deadline = Date.now() + server.startDeadlineMs;
  for (;;) {
    const answered = await server.answers(clientPort(ports));
    // In this order: what answers on the port of a process that ended is somebody else.
    if (!isRunning(identity)) throw startError(server, folder, 'ended while starting');
    if (answered) return;
    if (Date.now() > deadline) break;
    await delay(50);
  }
  await endProcess(identity, 0);
  throw startError(server, folder, `does not answer after ${server.startDeadlineMs / 1_000} s`);
}

function startError(server: LocalServer, folder: string, problem: string): ServerStartError {
  const log = logFile(server, folder);
  return new ServerStartError(`${server.name} ${problem}; the end of ${log}:\n${lastLines(log)}`);
}

function running(server: LocalServer, ports: readonly number[], identity: ProcessIdentity): RunningInstance {
  return { ...server.address(clientPort(ports)), pid: identity.pid };
}

function clientPort([port]: readonly number[]): number {
  if (port === undefined) throw new Error('an instance has at least one port');
  return port;
}

function logFile(server: LocalServer, folder: string): string {
  return join(folder, `${server.name}.log`);
}

function lastLines(file: string): string {
  if (!existsSync(file)) return '(no output)';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
}

function recordFile(folder: string): string {
  return join(folder, 'instance.json');
}

function readRecord(folder: string): InstanceRecord | undefined {
  const file = recordFile(folder);
  if (!existsSync(file)) return undefined;
  const record: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!isInstanceRecord(record)) throw new Error(`${file} is not readable as an instance: remove its folder`);
  return record;
}

function writeRecord(folder: string, record: InstanceRecord): void {
  mkdirSync(folder, { recursive: true });
  const incoming = `${recordFile(folder)}.incoming`;
  writeFileSync(incoming, JSON.stringify(record));
  renameSync(incoming, recordFile(folder));
}

function isInstanceRecord(value: unknown): value is InstanceRecord {
  if (typeof value !== 'object' || value === null || !('ports' in value) || !Array.isArray(value.ports))
    return false;
  if (!value.ports.every((port) => Number.isInteger(port))) return false;
  return !('process' in value) || isIdentity(value.process);
}
