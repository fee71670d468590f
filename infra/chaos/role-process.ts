import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Victim } from './victim.ts';

export interface RoleProcessOptions {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  /** What it prints is added to this file. */
  readonly logFile: string;
  /** Where it serves `/health/ready` and `/metrics`. */
  readonly httpUrl: string;
  /** Called when it ends though nobody ended it, with its exit code or signal. It is started again. */
  readonly onCrash: (name: string, how: string) => void;
}

const READY_DEADLINE_MS = 120_000;
const READY_POLL_MS = 100;
const PROBE_DEADLINE_MS = 2_000;
/** The program itself ends after 30 s at the latest. */
const STOP_DEADLINE_MS = 40_000;
const RESTART_AFTER_CRASH_MS = 1_000;

/** One role of the pipeline as a process, watched as a supervisor would: what ends by itself is started again. */
export class RoleProcess implements Victim {
  readonly name: string;
  readonly httpUrl: string;
  readonly #options: RoleProcessOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('');
  #starts = 0;

  constructor(options: RoleProcessOptions) {
    this.#options = options;
    this.name = options.name;
    this.httpUrl = options.httpUrl;
  }

  get starts(): number {
    return this.#starts;
  }

  /** Whether it is meant to run at this moment. */
  get isUp(): boolean {
    return this.#child !== undefined;
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#child === undefined) this.#spawn();
    const deadline = performance.now() + READY_DEADLINE_MS;
    while (!(await this.#isReady())) {
      if (this.#child === undefined) throw new Error(`${this.name} was ended before it was ready`);
      if (signal.aborted) throw new Error(`${this.name} was not waited for any longer`);
      if (performance.now() > deadline)
        throw new Error(`${this.name} is not ready after ${READY_DEADLINE_MS / 1_000} s`);
      await delay(READY_POLL_MS);
    }
  }

  async kill(): Promise<void> {
    this.#takeChild()?.kill('SIGKILL');
    await this.#ended;
  }

  /** As `Victim.stop`; resolves to how it ended: its exit code or the signal that ended it. */
  async stop(): Promise<string> {
    const child = this.#takeChild();
    child?.kill('SIGTERM');
    const timer = setTimeout(() => child?.kill('SIGKILL'), STOP_DEADLINE_MS);
    const how = await this.#ended;
    clearTimeout(timer);
    return how;
  }

  suspend(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** From now on its end is intended. */
  #takeChild(): ChildProcess | undefined {
    const child = this.#child;
    this.#child = undefined;
    return child;
  }

  #spawn(): void {
    const { program, args, environment, folder, logFile } = this.#options;
    const output = openSync(logFile, 'a');
    const child = spawn(program, args, { env: environment, cwd: folder, stdio: ['ignore', output, output] });
    closeSync(output);
    this.#starts++;
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signalName) => resolve(signalName ?? `exit code ${code}`));
    });
    void this.#ended.then((how) => this.#onEnd(child, how));
  }

  async #onEnd(child: ChildProcess, how: string): Promise<void> {
    if (this.#child !== child) return;
    this.#options.onCrash(this.name, how);
    await delay(RESTART_AFTER_CRASH_MS);
    if (this.#child === child) this.#spawn();
  }

  async #isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`${this.httpUrl}/health/ready`, {
        signal: AbortSignal.timeout(PROBE_DEADLINE_MS),
      });
      await answer.body?.cancel();
      return answer.status === 200;
    } catch {
      return false;
    }
  }
}
