import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';

const CLI = new URL('./dist/cli.js', import.meta.url).pathname;
const SERVICES = new URL('./dist/infra/local/services.js', import.meta.url).pathname;
const READY = { timeout: 60_000, interval: 100 };

/** Settings as `SLUICE_…` variables. */
export type Settings = Readonly<Record<string, string>>;

/** A running `sluice` process and what it printed. */
export interface SluiceProcess {
  readonly child: ChildProcess;
  output(): string;
  /** Resolves with the exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Runs `sluice` with arguments and settings; it is killed when the test ends. */
export function startSluice(args: readonly string[], settings: Settings): SluiceProcess {
  const env = { PATH: process.env.PATH ?? '', ...settings };
  const child = spawn(process.execPath, [CLI, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => (text += bytes));
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('close', (code, signal) => resolve(signal ?? code ?? -1)),
  );
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, output: () => text, ended };
}

/** Waits until a role's `/health/ready` answers 200. */
export async function untilReady(process: SluiceProcess, port: number): Promise<void> {
  await vi.waitFor(async () => {
    if (process.child.exitCode !== null) throw new Error(`ended before it was ready:\n${process.output()}`);
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`, {
      signal: AbortSignal.timeout(5_000),
    });
    if (answer.status !== 200) throw new Error(await answer.text());
  }, READY);
}

export async function kill(process: SluiceProcess): Promise<void> {
  process.child.kill('SIGKILL');
  await process.ended;
}

/** A folder that is removed when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-pipeline-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A port of 127.0.0.1 that is free now, below the range for outgoing connections so that it stays so. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 10_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

/** A Kafka or InfluxDB of the test's own, which it may stop and start again on the same port and data. */
export class OwnService {
  readonly #name: 'kafka' | 'influxdb';
  readonly #folder: string;

  constructor(name: 'kafka' | 'influxdb', folder: string) {
    this.#name = name;
    this.#folder = folder;
    onTestFinished(() => void this.stop());
  }

  /** Starts it and returns its address: `host:port` of Kafka, the URL of InfluxDB. */
  start(): string {
    const started = this.#run('start', '--json');
    const { kafka, influxdb } = JSON.parse(started);
    return this.#name === 'kafka' ? kafka.brokers : influxdb.url;
  }

  stop(): void {
    this.#run('stop');
  }

  kill(): void {
    this.#run('stop', '--kill');
  }

  #run(verb: string, ...flags: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [SERVICES, verb, this.#name, '--folder', this.#folder, ...flags],
      { encoding: 'utf8', timeout: 120_000 },
    );
    if (status !== 0) throw new Error(`services ${verb} ${this.#name} failed:\n${stdout}${stderr}`);
    return stdout;
  }
}
