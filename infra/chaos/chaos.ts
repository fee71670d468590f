// Hurts a pipeline of real processes by a plan that a seed reproduces, and checks that nothing acknowledged is lost, counted
// twice or changed. Exit code 0: it kept its promise. 1: it did not. 2: the run could not be done. 130: interrupted.
import { setMaxListeners } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ENGINES, type Engine } from './fault.ts';
import type { Report, RunOptions } from './report.ts';
import { formatReport } from './report-text.ts';
import { runChaos } from './run.ts';
import { readSeeds } from './seeds.ts';

interface Flags {
  readonly seed?: number;
  readonly minutes?: number;
  readonly seconds?: number;
  readonly engine: Engine;
  readonly rate: number;
  readonly devices: number;
  readonly folder?: string;
  readonly json?: string;
  readonly seeds?: string;
  readonly allowDuplicates: boolean;
}

const DEFAULT_SECONDS = 180;
const EXIT = { kept: 0, broken: 1, failed: 2, interrupted: 130 } as const;

const flags = new Command('chaos')
  .description('Kills, suspends, cuts and slows a pipeline under load, and checks every acknowledged message')
  .option('--seed <n>', 'what the plan and the load derive from (default: by chance)', wholeNumber)
  .option('--minutes <m>', 'how long devices send', positive)
  .option('--seconds <s>', `how long devices send (default: ${DEFAULT_SECONDS})`, positive)
  .addOption(new Option('--engine <engine>', 'what to run on').choices(ENGINES).default('scaled-out'))
  .option('--rate <r>', 'messages per second in all', positive, 2_000)
  .option('--devices <n>', 'number of devices', positive, 200)
  .option('--folder <dir>', 'where everything is kept (default: a temporary folder, removed after a pass)')
  .option('--json <file>', 'write the report as JSON too')
  .option('--seeds <file>', 'run each entry of a file of failing seeds')
  .option('--allow-duplicates', 'permit that messages delivered twice count twice', false)
  .parse()
  .opts<Flags>();

const exitCode = await main();
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit(exitCode);

async function main(): Promise<number> {
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      say(`${name}: ending everything`);
      interruption.abort(new Error(`interrupted by ${name}`));
    });
  }
  // Every wait of a run listens to it.
  setMaxListeners(0, interruption.signal);
  const reports: Report[] = [];
  let worst: number = EXIT.kept;
  for (const options of runsOf()) {
    const report = await runIn(createFolder(options), options, interruption.signal);
    if (report === undefined) worst = Math.max(worst, EXIT.failed);
    else {
      reports.push(report);
      if (!report.ok) worst = Math.max(worst, EXIT.broken);
    }
    if (interruption.signal.aborted) return EXIT.interrupted;
  }
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(toWrite(reports), null, 2)}\n`);
  return worst;
}

/** One run; undefined, with a line that says why, when it could not be done. The folder stays unless all was well. */
async function runIn(folder: string, options: RunOptions, signal: AbortSignal): Promise<Report | undefined> {
  say(`chaos: ${options.engine}, seed ${options.seed}, ${options.seconds} s`);
  let report: Report | undefined;
  try {
    report = await runChaos(options, { folder, settings: settingsGiven(), say, signal });
    say(`\n${formatReport(report)}`);
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
  if (flags.folder === undefined && (report?.ok === true || signal.aborted)) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  } else say(`logs and what was stored: ${folder}`);
  return report;
}

function runsOf(): RunOptions[] {
  const { engine, rate, devices, allowDuplicates, seeds } = flags;
  if (seeds !== undefined) {
    return readSeeds(seeds).map(({ found, ...kept }) => ({ ...kept, allowDuplicates }));
  }
  const seconds = flags.seconds ?? (flags.minutes === undefined ? DEFAULT_SECONDS : flags.minutes * 60);
  const seed = flags.seed ?? Math.floor(Math.random() * 1_000_000);
  return [{ engine, seed, seconds, rate, devices, allowDuplicates }];
}

/** A new folder: what an earlier run left is never touched. */
function createFolder({ engine, seed }: RunOptions): string {
  const parent = flags.folder === undefined ? tmpdir() : resolve(flags.folder);
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, `sluice-chaos-${engine}-${seed}-`));
}

/** Settings that the caller's environment gives to all processes. */
function settingsGiven(): Record<string, string> {
  const given = Object.entries(process.env).filter(([name]) => name.startsWith('SLUICE_'));
  return Object.fromEntries(given.map(([name, value]) => [name, value ?? '']));
}

function toWrite(reports: readonly Report[]): unknown {
  return flags.seeds === undefined ? reports[0] : reports;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('expected a whole number');
  return value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('expected a number above 0');
  return value;
}
