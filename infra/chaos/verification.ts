import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CLI } from './constellation.ts';

const balanceSchema = z.object({
  messages: z.object({
    accepted: z.number(),
    aggregated: z.number(),
    duplicates: z.number(),
    quarantined: z.number(),
  }),
  windows: z.array(z.object({ resolutionMs: z.number(), compared: z.number(), open: z.number() })),
});

/** What was compared: messages of the log, accepted = aggregated + duplicates + quarantined, and windows by size. */
export type Balance = z.infer<typeof balanceSchema>;

/** What `sluice verify` said: whether the stored aggregates are what the raw log gives. */
export type Verification =
  | { readonly kind: 'agrees' | 'disagrees'; readonly text: string; readonly balance: Balance }
  | { readonly kind: 'failed'; readonly text: string };

export interface VerificationOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  /** Range of event time, ms since the epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Messages that the log may hold. */
  readonly mostMessages: number;
  readonly signal: AbortSignal;
}

const DEADLINE_MS = 900_000;
const KEPT_CHARACTERS = 4_000;

/** So that the windows which the range begins in are compared too. */
const LONGEST_WINDOW_MS = 3_600_000;
/** The log may give a message a time after the one at which its acknowledgement arrived, by as much as clocks are coarse. */
const MARGIN_MS = 1_000;
/** A message and its readings. */
const KEPT_PER_MESSAGE = 5;
const OUTCOMES = new Map<number, 'agrees' | 'disagrees'>([
  [0, 'agrees'],
  [1, 'disagrees'],
]);

/** Runs `sluice verify` over a range of time; the embedded engines have to be closed by then. */
export async function verify(options: VerificationOptions): Promise<Verification> {
  const { environment, folder, fromMs, toMs, mostMessages, signal } = options;
  const file = join(folder, 'verify.json');
  const values = {
    from: new Date(Math.floor(fromMs / LONGEST_WINDOW_MS) * LONGEST_WINDOW_MS).toISOString(),
    to: new Date(toMs + MARGIN_MS).toISOString(),
    'max-kept': `${Math.ceil(mostMessages * KEPT_PER_MESSAGE)}`,
    json: file,
  };
  const flags = Object.entries(values).flatMap(([name, value]) => [`--${name}`, value]);
  const { code, text: whole } = await runSluice(['verify', ...flags], environment, folder, signal);
  writeFileSync(join(folder, 'logs', 'verify.log'), whole);
  const text = whole.trim().slice(-KEPT_CHARACTERS);
  const kind = OUTCOMES.get(code);
  if (kind === undefined) return { kind: 'failed', text };
  return { kind, text, balance: balanceSchema.parse(JSON.parse(readFileSync(file, 'utf8'))) };
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
