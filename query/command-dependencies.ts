import type { Command } from 'commander';
import { ApiAnswerError, ApiUnreachableError } from './api-client.ts';
import { printable, type TableStyle } from './table.ts';

/** What the commands that ask the query API need of the program. */
export interface CommandDependencies extends TableStyle {
  /** Address of the API when --url is not given. */
  defaultUrl(): Promise<string> | string;
  /** Writes to standard output. */
  write(text: string): void;
}

/** Exit codes of the commands that ask the query API. */
export const EXIT_FAILED = 1;
export const EXIT_NOTHING_FOUND = 2;

export const EXIT_CODES_HELP = `
Exit codes:
  0  something was found and printed
  1  the command line or the query was refused, or the query API cannot be reached or failed
  2  nothing was found
`;

/** Ends the command with code 1 and a message when the API fails; any other error is the program's. */
export async function failReadably(command: Command, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof ApiAnswerError || error instanceof ApiUnreachableError)) throw error;
    command.error(`error: ${printable(error.message)}`, { exitCode: EXIT_FAILED, code: error.code });
  }
}

/** Ends the command with code 2. */
export function endWithNothing(command: Command, message: string): never {
  return command.error(message, { exitCode: EXIT_NOTHING_FOUND, code: 'NOTHING_FOUND' });
}
