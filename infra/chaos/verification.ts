import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLI } from './constellation.ts';

/** What `sluice verify` said: whether the stored aggregates are what the raw log gives. */
export type Verification =
  | { readonly kind: 'agrees' | 'disagrees'; readonly text: string }
  | { readonly kind: 'not-run'; readonly text: string };

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

/** Runs `sluice verify` over a range of time. */
export async function verify({
  environment,
  folder,
  fromMs,
  toMs,
  signal,
}: VerificationOptions): Promise<Verification> {
  const run = (...args: string[]) => runSluice(args, environment, folder, signal);
  const help = await run('--help');
  if (!/^\s+verify\b/m.test(help.text)) return { kind: 'not-run', text: 'there is no such command' };
  const range = [new Date(fromMs).toISOString(), new Date(toMs).toISOString()] as const;
  const { code, text } = await run('verify', '--from', range[0], '--to', range[1]);
  writeFileSync(join(folder, 'logs', 'verify.log'), text);
  return { kind: code === 0 ? 'agrees' : 'disagrees', text: text.trim().slice(-KEPT_CHARACTERS) };
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
