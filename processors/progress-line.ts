/** Where a command tells how it goes. */
export interface CommandOutput {
  write(text: string): void;
  /** Whether a line can be overwritten. */
  readonly isTerminal: boolean;
}

const TERMINAL_MS = 250;
const PLAIN_MS = 5_000;
const CLEAR_LINE = '\r\x1b[K';

/** Keeps one line up to date on a terminal, and writes a line every five seconds elsewhere. */
export class ProgressLine {
  readonly #output: CommandOutput;
  readonly #timer: NodeJS.Timeout;

  /** Calls `text` whenever a line is due, until `close`. */
  constructor(output: CommandOutput, text: () => string) {
    this.#output = output;
    const show = () => output.write(output.isTerminal ? `${CLEAR_LINE}${text()}` : `${text()}\n`);
    this.#timer = setInterval(show, output.isTerminal ? TERMINAL_MS : PLAIN_MS);
  }

  /** Ends the line. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#output.isTerminal) this.#output.write(CLEAR_LINE);
  }
}
