import { EventLogFullError, EventLogUnavailableError } from '../event-log/errors.ts';
import type { EventLog } from '../event-log/event-log.ts';
import type { PendingMessage } from './pending-message.ts';

/** What the gateway needs of the event log. */
export type AppendLog = Pick<EventLog, 'partitions' | 'append' | 'ping'>;

export interface LogWriterOptions {
  readonly log: AppendLog;
  readonly appendDeadlineMs: number;
  readonly onDurable: (message: PendingMessage) => void;
  /** The message is not known to be durable and is not tried again. */
  readonly onFailed: (message: PendingMessage, error: unknown) => void;
  /** The log has no room, or has room again: until then nothing more should be read. */
  readonly onFull: (isFull: boolean) => void;
}

const RETRY_MS = 20;

/** Appends messages, and tries those again for which the log had no room, before anything newer. */
export class LogWriter {
  readonly #options: LogWriterOptions;
  /** Messages that wait for room, oldest first. */
  #parked: PendingMessage[] = [];
  #refusedAgain: PendingMessage[] = [];
  #retrying = 0;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  append(message: PendingMessage): void {
    if (this.#retryTimer !== undefined || this.#retrying > 0) {
      this.#parked.push(message);
      return;
    }
    const { log, onDurable, onFailed } = this.#options;
    try {
      log.append(message.topic, message.partition, message.key, message.value).then(
        () => onDurable(message),
        (error: unknown) => this.#failed(message, error),
      );
    } catch (error) {
      onFailed(message, error);
    }
  }

  #failed(message: PendingMessage, error: unknown): void {
    if (!(error instanceof EventLogFullError)) {
      this.#options.onFailed(message, error);
      return;
    }
    this.#parked.push(message);
    if (this.#retrying > 0) return;
    this.#retryTimer ??= this.#retryLater();
    this.#options.onFull(true);
  }

  #retryLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#retryTimer = undefined;
      this.#retry();
    }, RETRY_MS);
  }

  #retry(): void {
    const { appendDeadlineMs, onFailed } = this.#options;
    const deadline = performance.now() - appendDeadlineMs;
    const parked = this.#parked;
    this.#parked = [];
    const late = parked.filter(({ startedAt }) => startedAt <= deadline);
    for (const message of late) {
      onFailed(message, new EventLogUnavailableError(`the log had no room for ${appendDeadlineMs} ms`));
    }
    const due = parked.filter(({ startedAt }) => startedAt > deadline);
    this.#retrying = due.length;
    for (const message of due) void this.#attemptAgain(message);
    if (due.length === 0) this.#retried();
  }

  async #attemptAgain(message: PendingMessage): Promise<void> {
    const { log, onDurable, onFailed } = this.#options;
    try {
      await log.append(message.topic, message.partition, message.key, message.value);
      onDurable(message);
    } catch (error) {
      if (error instanceof EventLogFullError) this.#refusedAgain.push(message);
      else onFailed(message, error);
    }
    this.#retrying--;
    if (this.#retrying === 0) this.#retried();
  }

  #retried(): void {
    this.#parked = [...this.#refusedAgain, ...this.#parked];
    this.#refusedAgain = [];
    if (this.#parked.length > 0) this.#retryTimer = this.#retryLater();
    else this.#options.onFull(false);
  }
}
