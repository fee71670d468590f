import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLI } from './constellation.ts';

/** What `sluice verify` said: whether the stored aggregates are what the raw log gives. */
export interface Verification {
  readonly kind: 'agrees' | 'disagrees' | 'failed';
  readonly text: string;
}

export interface VerificationOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  /** Range of event time, ms since the epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly signal: AbortSignal;
}

const DEADLINE_MS = 600_000;
const KEPT_CHARACTERS = 4_000;

/** So that the windows which the range begins in are compared too. */
const LONGEST_WINDOW_MS = 3_600_000;
const OUTCOMES = new Map<number, Verification['kind']>([
  [0, 'agrees'],
  [1, 'disagrees'],
]);

/** Runs `sluice verify` over a range of time; the embedded engines have to be closed by then. */
export async function verify({
  environment,
  folder,
  fromMs,
  toMs,
  signal,
}: VerificationOptions): Promise<Verification> {
  const from = new Date(Math.floor(fromMs / LONGEST_WINDOW_MS) * LONGEST_WINDOW_MS).toISOString();
  const to = new Date(toMs).toISOString();
  const { code, text } = await runSluice(['verify', '--from', from, '--to', to], environment, folder, signal);
  writeFileSync(join(folder, 'logs', 'verify.log'), text);
  return { kind: OUTCOMES.get(code) ?? 'failed', text: text.trim().slice(-KEPT_CHARACTERS) };
}

function runSluice(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd: string,
  signal: AbortSignal,
): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    const options = {
      env,
      cwd,
      signal,
      timeout: DEADLINE_MS,
      maxBuffer: 64 << 20,
      killSignal: 'SIGKILL',
    } as const;
    execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, text: `${stdout}${stderr}` });
    });
  });
}
