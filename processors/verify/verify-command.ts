import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { formatCount } from '../plain-text.ts';
import { type CommandOutput, ProgressLine } from '../progress-line.ts';
import type { RangeOptions } from '../range-options.ts';
import { addRangeOptions, checkRange } from '../range-options.ts';
import { MAX_KEPT, type VerifyOptions, type VerifyProgress } from './verify.ts';
import { toJson, type VerifyResult } from './verify-result.ts';
import { formatResult } from './verify-text.ts';

export interface VerifyCommandDependencies extends CommandOutput {
  /** Ms since the epoch of a time as people write it; undefined for what is none. */
  parseInstant(text: string): number | undefined;
  /** Opens the engines, verifies, closes them. */
  verify(
    options: Pick<VerifyOptions, 'from' | 'to' | 'maxDifferences' | 'maxKept' | 'onProgress'>,
  ): Promise<VerifyResult>;
  /** Tells why it cannot be verified. */
  fail(error: unknown): void;
}

interface Flags extends RangeOptions {
  readonly json?: string;
  readonly maxDifferences: number;
  readonly maxKept: number;
}

export const VERIFY_EXIT_CODES = { equal: 0, different: 1, unverifiable: 2 } as const;

const HELP = `
Reads the raw messages from the log, aggregates them with code of its own, and compares the result with the store window by
window: count, min, max, first and last exactly, sum and spread within 1e-9, percentiles within the error of their sketch.
Windows that are still open, and what is not folded yet, are left out and counted. On embedded storage stop
\`sluice start\` first: one process owns the data folder. On Kafka and InfluxDB the pipeline may go on.

Exit code 0: equal. 1: there are differences. 2: it cannot be verified (input is missing, no window is complete, or an
engine cannot be opened).`;

/** \`sluice verify\`. */
export function createVerifyCommand(dependencies: VerifyCommandDependencies): Command {
  const command = new Command('verify').description(
    'compute the aggregates of a range again from the raw log and compare them with the store',
  );
  addRangeOptions(command, dependencies.parseInstant)
    .option('--json <file>', 'also write the result to a file')
    .option('--max-differences <n>', 'differences to list', parseLimit, 20)
    .option('--max-kept <n>', 'messages and readings to hold, about 30 bytes each', parseLimit, MAX_KEPT)
    .addHelpText('after', HELP);
  command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : VERIFY_EXIT_CODES.unverifiable));
  return command.action(async (flags: Flags) => {
    checkRange(command, flags);
    process.exitCode = await run(flags, dependencies);
  });
}

async function run(
  { from, to, json, maxDifferences, maxKept }: Flags,
  dependencies: VerifyCommandDependencies,
): Promise<number> {
  let progress: VerifyProgress | undefined;
  const line = new ProgressLine(dependencies, () => describeProgress(progress));
  try {
    const onProgress = (latest: VerifyProgress) => {
      progress = latest;
    };
    const result = await dependencies
      .verify({ from, to, maxDifferences, maxKept, onProgress })
      .finally(() => line.close());
    dependencies.write(formatResult(result));
    if (json !== undefined) await writeFile(json, toJson(result));
    return VERIFY_EXIT_CODES[result.outcome];
  } catch (error) {
    dependencies.fail(error);
    return VERIFY_EXIT_CODES.unverifiable;
  }
}

function describeProgress(progress: VerifyProgress | undefined): string {
  if (progress === undefined) return 'opening the log and the store';
  const { doing, done, total } = progress;
  if (doing === 'comparing') return `comparing windows, size ${done + 1} of ${total}`;
  const what = doing === 'telemetry' ? 'records' : 'quarantined messages';
  return `${formatCount(done)} of ${formatCount(total)} ${what} read`;
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!Number.isSafeInteger(limit) || limit < 0) throw new InvalidArgumentError('expected a whole number');
  return limit;
}
