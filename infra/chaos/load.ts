import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CLI } from './constellation.ts';

export interface LoadOptions {
  readonly mqttUrl: string;
  readonly apiUrl: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly devices: number;
  /** Messages per second of the whole fleet. */
  readonly rate: number;
  readonly lengthMs: number;
  readonly seed: number;
  readonly allowDuplicates: boolean;
}

const messageCounts = z.object({
  due: z.number(),
  sent: z.number(),
  unsent: z.number(),
  acknowledged: z.number(),
  unknown: z.number(),
  repeated: z.number(),
  missing: z.number(),
  countedTwice: z.number(),
});
const verdictSchema = z.object({
  ok: z.boolean(),
  reasons: z.array(z.string()),
  run: z.object({ runId: z.string(), startedAt: z.string(), durationMs: z.number() }),
  messages: messageCounts,
  rate: z.object({ intended: z.number(), achieved: z.number() }),
  latencyMs: z.object({ p50: z.number(), p99: z.number(), max: z.number() }).nullable(),
  connectionsLost: z.number(),
  aggregates: z.object({ waitedMs: z.number(), compared: z.number(), differing: z.number() }),
});

/** What the harness reads of the simulator's verdict. */
export type LoadVerdict = z.infer<typeof verdictSchema>;

const KEPT_CHARACTERS = 2_000;

/** How long acknowledgements, and then aggregates, are waited for once the last fault is over. */
const DRAIN_TIMEOUT_MS = 120_000;
const SETTLE_TIMEOUT_MS = 180_000;
/** Connecting at first, computing what the aggregates have to be, and the queries of the last comparison. */
const OVERHEAD_MS = 300_000;

/** A fleet of simulated devices, a process of its own. */
export class Load {
  /** Resolves when the first messages are acknowledged; rejects when the process ends before. */
  readonly running: Promise<void>;
  /** Resolves when the simulator has compared the aggregates; rejects when it could not, or takes too long. */
  readonly verdict: Promise<LoadVerdict>;
  readonly #child: ChildProcess;
  readonly #deadline: NodeJS.Timeout;
  #tail = '';

  constructor(options: LoadOptions) {
    const verdictFile = join(options.folder, 'verdict.json');
    this.#child = spawn(process.execPath, [CLI, 'simulate', ...argumentsOf(options, verdictFile)], {
      env: options.environment,
      cwd: options.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(join(options.folder, 'logs', 'simulate.log'));
    const ended = new Promise<number | null>((resolve) => this.#child.once('close', resolve));
    this.running = new Promise((resolve, reject) => {
      for (const stream of [this.#child.stdout, this.#child.stderr]) {
        stream?.on('data', (bytes: Buffer) => {
          log.write(bytes);
          this.#tail = `${this.#tail}${bytes}`.slice(-KEPT_CHARACTERS);
          if (/[1-9][\d,]* acknowledged/.test(this.#tail)) resolve();
        });
      }
      void ended.then((code) => reject(this.#endError(code)));
    });
    const limitMs = options.lengthMs + DRAIN_TIMEOUT_MS + SETTLE_TIMEOUT_MS + OVERHEAD_MS;
    this.#deadline = setTimeout(() => this.end(), limitMs);
    this.verdict = ended.then((code) => {
      clearTimeout(this.#deadline);
      log.end();
      if (code !== 0 && code !== 1) throw this.#endError(code);
      return verdictSchema.parse(JSON.parse(readFileSync(verdictFile, 'utf8')));
    });
    // Whoever waits for one of them may not have come to it when the process ends.
    this.running.catch(() => {});
    this.verdict.catch(() => {});
  }

  /** The latest line that the simulator wrote about how it goes. */
  get latest(): string {
    return this.#tail.trimEnd().split('\n').at(-1) ?? '';
  }

  end(): void {
    clearTimeout(this.#deadline);
    this.#child.kill('SIGKILL');
  }

  #endError(code: number | null): Error {
    const how = code === null ? 'was ended, or took too long' : `ended with code ${code}`;
    return new Error(`the simulator ${how}:\n${this.#tail}`);
  }
}

function argumentsOf(options: LoadOptions, verdictFile: string): string[] {
  const values = {
    url: options.mqttUrl,
    api: options.apiUrl,
    devices: options.devices,
    rate: options.rate,
    duration: `${options.lengthMs}ms`,
    seed: options.seed,
    qos: 1,
    'drain-timeout': `${DRAIN_TIMEOUT_MS}ms`,
    'settle-timeout': `${SETTLE_TIMEOUT_MS}ms`,
    json: verdictFile,
  };
  const flags = Object.entries(values).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  return options.allowDuplicates ? [...flags, '--allow-duplicates'] : flags;
}
