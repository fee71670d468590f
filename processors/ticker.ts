import type { EventLog } from '../event-log/event-log.ts';
import { encodeTick } from '../event-log/telemetry-event.ts';

export interface TickerOptions {
  readonly log: Pick<EventLog, 'append'>;
  readonly topic: string;
  readonly partition: number;
  /** Wall clock, ms since the epoch. */
  readonly clock: () => number;
  readonly onFailure: (error: unknown) => void;
}

/** A tick is never sent sooner than this after the last batch, so a partition with traffic gets none. */
const QUIET_MS = 250;
const RETRY_MS = 1_000;
/** A longer timer would fire at once; one that comes too early is harmless. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Appends a tick to a partition that has gone quiet when log time alone would close a pane. A tick that comes too
 * early, twice, or from a process that no longer owns the partition does no harm: it says only what time it was.
 */
export class Ticker {
  readonly #options: TickerOptions;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  /** Appends a tick once the wall clock has passed this log time, ms since the epoch, unless paused before. */
  scheduleFor(logTime: number): void {
    this.pause();
    if (this.#stopped || !Number.isFinite(logTime)) return;
    this.#wait(Math.min(LONGEST_TIMER_MS, Math.max(QUIET_MS, logTime - this.#options.clock())));
  }

  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.pause();
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => void this.#tick(), ms);
  }

  async #tick(): Promise<void> {
    const { log, topic, partition, onFailure } = this.#options;
    // Comes again in case the log's clock is behind ours, or the append fails.
    this.#wait(RETRY_MS);
    try {
      await log.append(topic, partition, '', encodeTick());
    } catch (error) {
      onFailure(error);
    }
  }
}
