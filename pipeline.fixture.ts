import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, vi } from 'vitest';

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

/** Ports that stay the same when a role is killed and started again. */
export interface Ports {
  readonly mqtt: number;
  readonly api: number;
  readonly gateway: number;
}

export async function choosePorts(): Promise<Ports> {
  return { mqtt: await freePort(), api: await freePort(), gateway: await freePort() };
}

/** Settings of a pipeline with short windows. */
export function settingsOf(ports: Ports, engines: Settings): Settings {
  return {
    ...engines,
    SLUICE_GATEWAY_PORT: `${ports.mqtt}`,
    SLUICE_API_PORT: `${ports.api}`,
    SLUICE_OPERATIONS_PORT: '0',
    SLUICE_PROCESSOR_WINDOWS: '2s,10s,1m',
    SLUICE_PROCESSOR_GRACE: '500ms',
    SLUICE_PROCESSOR_MAX_AGE: '6d',
  };
}

/** Engines that a test shares with others, under names of its own. */
export function scaledOut(brokers: string, url: string): Settings {
  const name = `test-${Math.random().toString(36).slice(2, 10)}`;
  return {
    SLUICE_EVENT_LOG_KIND: 'kafka',
    SLUICE_EVENT_LOG_BROKERS: brokers,
    SLUICE_EVENT_LOG_TOPIC_PREFIX: name,
    SLUICE_METRIC_STORE_KIND: 'influxdb',
    SLUICE_METRIC_STORE_URL: url,
    SLUICE_METRIC_STORE_DATABASE: name,
    SLUICE_PROCESSOR_GROUP: name,
  };
}

/** Runs `sluice simulate` against a pipeline with these settings. */
export function simulate(settings: Settings, ...options: readonly string[]): SluiceProcess {
  return startSluice(['simulate', ...options], settings);
}

/** The simulator's verdict: nothing missing, nothing counted twice, nothing differing. */
export async function expectPass(run: SluiceProcess): Promise<void> {
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toMatch(
    /0 messages missing, 0 counted twice, 0 aggregates differ\n(.*\n)*verdict +PASS/,
  );
}

/** The fleet was cut off in mid-run, so the test has tested something. */
export function expectConnectionsLost(run: SluiceProcess): void {
  expect(run.output()).toMatch(/^connections +lost/m);
}

/** Waits until a running simulation has had some acknowledgements. */
export async function untilUnderLoad(run: SluiceProcess): Promise<void> {
  await expect
    .poll(() => run.output(), { timeout: 30_000, interval: 100 })
    .toMatch(/[1-9][\d,]* acknowledged/);
}
