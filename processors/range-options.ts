import { type Command, InvalidArgumentError } from 'commander';

/** A range of window starts, [from, to) in ms since the epoch. */
export interface RangeOptions {
  readonly from: number;
  readonly to: number;
}

/** Adds `--from` and `--to`, both required. */
export function addRangeOptions(
  command: Command,
  parseInstant: (text: string) => number | undefined,
): Command {
  const parse = (text: string): number => {
    const instant = parseInstant(text);
    if (instant === undefined)
      throw new InvalidArgumentError('expected ISO 8601 with its zone, or ms since the epoch');
    return instant;
  };
  return command
    .requiredOption('--from <time>', 'windows that start here or later: ISO 8601 with its zone, or ms', parse)
    .requiredOption('--to <time>', 'windows that start before', parse);
}

/** Ends the command with a message when the range is empty. */
export function checkRange(command: Command, { from, to }: RangeOptions): void {
  if (from < to) return;
  command.error(
    `error: --from (${new Date(from).toISOString()}) is not before --to (${new Date(to).toISOString()})`,
  );
}
