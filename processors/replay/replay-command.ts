import { Command } from 'commander';
import { formatCount, formatInstant } from '../plain-text.ts';
import { type CommandOutput, ProgressLine } from '../progress-line.ts';
import { addRangeOptions, checkRange, type RangeOptions } from '../range-options.ts';
import type { ReplayOptions, ReplayProgress, ReplayResult } from './replay.ts';
import type { ReplayPlan } from './replay-plan.ts';

export interface ReplayCommandDependencies extends CommandOutput {
  /** Ms since the epoch of a time as people write it; undefined for what is none. */
  parseInstant(text: string): number | undefined;
  /** Opens the engines, replays, closes them. */
  replay(
    options: Pick<ReplayOptions, 'from' | 'to' | 'isRestart' | 'confirm' | 'onProgress'>,
  ): Promise<ReplayResult | undefined>;
  /** Asks a person; undefined where there is none to ask. */
  readonly ask: ((question: string) => Promise<boolean>) | undefined;
  /** Whether Ctrl-C or SIGTERM has ended the replay. */
  isInterrupted(): boolean;
  /** Tells why it cannot be replayed. */
  fail(error: unknown): void;
}

interface Flags extends RangeOptions {
  readonly yes?: boolean;
  readonly restart?: boolean;
}

const EXIT_INTERRUPTED = 1;
const EXIT_IMPOSSIBLE = 2;

const HELP = `
Folds the log again, from before the range to its present end, and writes the rows of windows that start in the range. Rows
come out as the live run made them, bit for bit and under the same identities, so that writing them again changes
nothing, the live run may go on meanwhile (on Kafka and InfluxDB), and rows that are lost come back. Nothing else is written.
After Ctrl-C or a crash the same command goes on where it was; \`--restart\` begins again (do so when rows were lost since).

What it does not do:
- It deletes nothing. Rows that other settings (windows, grace) or another log made stay, and count beside the new ones.
- Panes that are still open at the end of the log are left to the live run, which has them.
- Messages without \`ts\` count when the gateway received them. One that was delivered before the start of the reading (a
  coarsest window, grace and twice maxAhead before the range) and again in the range is not recognised as a repetition.
  Repetitions of messages with \`ts\` belong to windows before the range and change nothing in it.
- Where maxOpenAggregates was exhausted in the range or shortly before, late panes may be closed at other moments than in
  the live run: rows then have other pane numbers, and would count beside those present. Replay into an empty range only.

On embedded storage stop \`sluice start\` first: one process owns the data folder.

Exit code 0: done. 1: interrupted. 2: it cannot be replayed, or was not confirmed.`;

/** \`sluice replay\`. */
export function createReplayCommand(dependencies: ReplayCommandDependencies): Command {
  const command = new Command('replay').description(
    'write the aggregates of a range again, from the raw log',
  );
  addRangeOptions(command, dependencies.parseInstant)
    .option('--yes', 'do not ask before writing')
    .option('--restart', 'begin again instead of going on with an interrupted replay of this range')
    .addHelpText('after', HELP);
  command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_IMPOSSIBLE));
  return command.action(async (flags: Flags) => {
    checkRange(command, flags);
    process.exitCode = await run(flags, dependencies);
  });
}

async function run(
  { from, to, yes, restart }: Flags,
  dependencies: ReplayCommandDependencies,
): Promise<number> {
  const { write } = dependencies;
  let progress: ReplayProgress | undefined;
  let line: ProgressLine | undefined;
  const confirm = async (plan: ReplayPlan) => {
    write(describePlan(plan, from, to));
    if (yes !== true && !(await isConfirmed(dependencies))) return false;
    const startedAt = performance.now();
    line = new ProgressLine(dependencies, () => describeProgress(progress, performance.now() - startedAt));
    return true;
  };
  const onProgress = (latest: ReplayProgress) => {
    progress = latest;
  };
  try {
    const result = await dependencies
      .replay({ from, to, isRestart: restart === true, confirm, onProgress })
      .finally(() => line?.close());
    if (result === undefined) return EXIT_IMPOSSIBLE;
    write(describeResult(result, from, to));
    return 0;
  } catch (error) {
    if (!dependencies.isInterrupted()) {
      dependencies.fail(error);
      return EXIT_IMPOSSIBLE;
    }
    write('interrupted; the same command goes on from here\n');
    return EXIT_INTERRUPTED;
  }
}

async function isConfirmed({ ask, write }: ReplayCommandDependencies): Promise<boolean> {
  if (ask !== undefined) return ask('Write these rows?');
  write('nothing written: confirm with --yes\n');
  return false;
}

function describePlan(
  { startLogTime, records, resumed, ranges }: ReplayPlan,
  from: number,
  to: number,
): string {
  const place =
    resumed.length === 0
      ? `from ${formatInstant(startLogTime)} on`
      : `going on with an interrupted replay in ${resumed.length} of ${ranges.length} partitions`;
  return `rows of windows that start from ${formatInstant(from)} to ${formatInstant(to)}: ${formatCount(records)} records to fold, ${place}\n`;
}

/** `elapsedMs` is the time since the first record was asked for. */
export function describeProgress(progress: ReplayProgress | undefined, elapsedMs: number): string {
  if (progress === undefined || progress.done === 0) return 'waiting for the log';
  const { done, total } = progress;
  const leftSeconds = Math.ceil(((elapsedMs / done) * Math.max(0, total - done)) / 1_000);
  return `${formatCount(done)} of ${formatCount(total)} records folded, about ${formatCount(leftSeconds)} s left`;
}

function describeResult(result: ReplayResult, from: number, to: number): string {
  const { records, rows, rowsRefused, open, closedEarly, refused, readmitted } = result;
  const notes = [
    ...(open > 0 ? [`${formatCount(open)} aggregates are still open; the live run writes them`] : []),
    ...(rowsRefused > 0 ? [`${formatCount(rowsRefused)} rows were refused by the store`] : []),
    ...(closedEarly > 0 ? [`${formatCount(closedEarly)} panes were closed early by maxOpenAggregates`] : []),
    ...(refused > 0
      ? [`${formatCount(refused)} messages were refused by maxOpenAggregates or maxDevices`]
      : []),
    ...(readmitted > 0 ? [`${formatCount(readmitted)} messages were counted that are in quarantine`] : []),
  ];
  const check = `check with: sluice verify --from ${formatInstant(from)} --to ${formatInstant(to)}`;
  const lines = [
    `${formatCount(rows)} rows written, ${formatCount(records)} records folded`,
    ...notes,
    check,
  ];
  return `${lines.join('\n')}\n`;
}
