import { setTimeout as delay } from 'node:timers/promises';
import { type CaughtUpRule, isCaughtUp, readProgressFigures, type Snapshot } from './progress-figures.ts';

const POLL_MS = 500;
const PROBE_DEADLINE_MS = 1_000;

export interface Watched {
  readonly name: string;
  readonly httpUrl: string;
  readonly isUp: boolean;
}

/** Asks all roles for their figures, twice a second, until it is closed. */
export class LagWatch {
  readonly #roles: readonly Watched[];
  readonly #rule: CaughtUpRule;
  readonly #closed = new AbortController();
  readonly #polling: Promise<void>;
  #snapshot: Snapshot = new Map();
  #waiting: { readonly since: number; readonly resolve: (at: number) => void }[] = [];

  constructor(roles: readonly Watched[], rule: CaughtUpRule) {
    this.#roles = roles;
    this.#rule = rule;
    this.#polling = this.#poll();
  }

  /** Resolves, on the clock of `performance.now()`, at the next moment at which the processors have caught up. */
  nextCaughtUp(): Promise<number> {
    return new Promise((resolve) => this.#waiting.push({ since: performance.now(), resolve }));
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      const startedAt = performance.now();
      const before = this.#snapshot;
      this.#snapshot = await takeSnapshot(this.#roles);
      if (isCaughtUp(before, this.#snapshot, this.#rule)) this.#release(startedAt);
      await delay(POLL_MS, undefined, { signal: this.#closed.signal }).catch(() => {});
    }
  }

  /** Answers who has waited since before the figures were asked for. */
  #release(askedAt: number): void {
    const now = performance.now();
    for (const { since, resolve } of this.#waiting) if (since <= askedAt) resolve(now);
    this.#waiting = this.#waiting.filter(({ since }) => since > askedAt);
  }
}

async function takeSnapshot(roles: readonly Watched[]): Promise<Snapshot> {
  const answers = await Promise.all(
    roles.filter(({ isUp }) => isUp).map(async ({ name, httpUrl }) => ({ name, text: await ask(httpUrl) })),
  );
  return new Map(
    answers.flatMap(({ name, text }) =>
      text === undefined ? [] : [[name, readProgressFigures(text)] as const],
    ),
  );
}

async function ask(httpUrl: string): Promise<string | undefined> {
  try {
    const answer = await fetch(`${httpUrl}/metrics`, { signal: AbortSignal.timeout(PROBE_DEADLINE_MS) });
    return await answer.text();
  } catch {
    return undefined;
  }
}
