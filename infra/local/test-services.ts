// What the tests of real servers run against: started once before all integration tests, gone after them. The environment
// may say TEST_SERVICES=none (start nothing), TEST_SERVICES=required (fail where a server cannot be had, instead of
// skipping its suites), and TEST_KAFKA_BROKERS, TEST_INFLUXDB_URL or TEST_MOSQUITTO_URL (use that one).
// All test files share one server of each kind: each uses topics, groups and databases of its own.
import { type ChildProcess, execFile, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProvidedContext } from 'vitest';
import type { TestProject } from 'vitest/node';
import { SERVER_NAMES, type ServerName } from './local-server.ts';
import { identifyProcess, isRunning, parseIdentity } from './process-identity.ts';
import { packageRoot } from './tools.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Comma-separated host:port; '' when there is no Kafka and its suites are skipped. */
    kafkaBrokers: string;
    /** '' when there is no InfluxDB and its suites are skipped. */
    influxdbUrl: string;
    /** '' when there is no Mosquitto and its suites are skipped. */
    mosquittoUrl: string;
    /**
     * A folder for tests that run servers of their own: those of `services --folder <servicesFolder>/<any name>` are ended, and
     * all of it removed, after the run, however it ends.
     */
    servicesFolder: string;
  }
}

const KEYS: Readonly<Record<ServerName, Exclude<keyof ProvidedContext, 'servicesFolder'>>> = {
  kafka: 'kafkaBrokers',
  influxdb: 'influxdbUrl',
  mosquitto: 'mosquittoUrl',
};

const GIVEN: Readonly<Record<ServerName, string | undefined>> = {
  kafka: process.env.TEST_KAFKA_BROKERS,
  influxdb: process.env.TEST_INFLUXDB_URL,
  mosquitto: process.env.TEST_MOSQUITTO_URL,
};

const PROGRAM = join(packageRoot(), 'dist/infra/local/services.js');
const FOLDER_PREFIX = 'sluice-test-services-';
/** Names the test run that a folder belongs to. */
const OWNER_FILE = 'owner.json';

type Outcome = { readonly address: string } | { readonly problem: string };

const starting = new Set<ChildProcess>();
let folder: string | undefined;

export async function setup(project: TestProject): Promise<void> {
  const mode = process.env.TEST_SERVICES ?? '';
  if (!['', 'none', 'required'].includes(mode)) {
    throw new Error(`TEST_SERVICES is ${JSON.stringify(mode)}, expected none, required, or nothing`);
  }
  ensureBuilt();
  removeAbandoned();
  folder = makeFolder();
  // Ctrl-C makes vitest exit without its teardown.
  process.once('exit', teardown);
  project.provide('servicesFolder', folder);
  const shared = join(folder, 'shared');
  const outcomes = await Promise.all(SERVER_NAMES.map((name) => obtain(name, mode, shared)));
  const problems: string[] = [];
  for (const [index, name] of SERVER_NAMES.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    project.provide(KEYS[name], 'address' in outcome ? outcome.address : '');
    if ('problem' in outcome) problems.push(`${name} suites are skipped: ${outcome.problem}`);
  }
  if (mode === 'required' && problems.length > 0) {
    teardown();
    throw new Error(`TEST_SERVICES=required, but ${problems.join('; ')}`);
  }
  for (const problem of problems) console.log(problem);
}

export function teardown(): void {
  process.off('exit', teardown);
  for (const child of starting) child.kill('SIGKILL');
  if (folder !== undefined) remove(folder);
  folder = undefined;
}

function obtain(name: ServerName, mode: string, inFolder: string): Promise<Outcome> | Outcome {
  const given = GIVEN[name];
  if (given !== undefined && given !== '') return { address: given };
  if (mode === 'none') return { problem: 'TEST_SERVICES=none' };
  return start(name, inFolder);
}

/** A folder that names its owner from the moment at which it can be found. */
function makeFolder(): string {
  const incoming = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  writeFileSync(join(incoming, OWNER_FILE), JSON.stringify(identifyProcess(process.pid)));
  const path = incoming.replace(/sluice-test-(?=[^/]*$)/, FOLDER_PREFIX);
  renameSync(incoming, path);
  return path;
}

function start(name: ServerName, inFolder: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const args = [PROGRAM, 'start', name, '--json', '--install-limit', '60', '--folder', inFolder];
    const child = execFile(process.execPath, args, { timeout: 150_000 }, (error, stdout, stderr) => {
      starting.delete(child);
      const address = error === null ? readAddress(stdout, name) : undefined;
      resolve(address === undefined ? { problem: stderr.trim() || String(error) } : { address });
    });
    starting.add(child);
    child.stderr?.on('data', (chunk: unknown) => {
      if (String(chunk).includes('fetching')) console.log(String(chunk).trim());
    });
  });
}

/** The one address in `{"kafka":{"brokers":"…","pid":1}}` or `{"influxdb":{"url":"…","pid":1}}`. */
function readAddress(json: string, name: ServerName): string | undefined {
  const started: Partial<Record<ServerName, { brokers?: string; url?: string }>> = JSON.parse(json);
  return started[name]?.brokers ?? started[name]?.url;
}

function ensureBuilt(): void {
  if (existsSync(PROGRAM)) return;
  const { status, stdout } = spawnSync('npm', ['run', '-s', 'build'], {
    cwd: packageRoot(),
    encoding: 'utf8',
  });
  if (!existsSync(PROGRAM)) throw new Error(`npm run build failed with status ${status}:\n${stdout}`);
}

/** Ends what test runs left behind that were killed before their teardown. */
function removeAbandoned(): void {
  for (const entry of readdirSync(tmpdir()).filter((name) => name.startsWith(FOLDER_PREFIX))) {
    const owner = join(tmpdir(), entry, OWNER_FILE);
    const identity = existsSync(owner) ? parseIdentity(readFileSync(owner, 'utf8')) : undefined;
    if (identity === undefined || !isRunning(identity)) remove(join(tmpdir(), entry));
  }
}

function remove(stale: string): void {
  for (const entry of readdirSync(stale, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const args = [PROGRAM, 'stop', '--kill', '--folder', join(stale, entry.name)];
    spawnSync(process.execPath, args, { timeout: 60_000 });
  }
  rmSync(stale, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
