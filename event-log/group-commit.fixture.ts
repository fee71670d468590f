import { vi } from 'vitest';
import { EventLogUnavailableError } from './errors.ts';
import { GroupCommit, type GroupCommitOptions, type PendingAppend } from './group-commit.ts';

export const refused = new EventLogUnavailableError('the sink is away');

/** What a commit made durable, by partition, and how it was called. */
export class Sink {
  readonly batches: string[][] = [];
  readonly #stored = new Map<number, string[]>();

  of(partition: number): readonly string[] {
    return this.#stored.get(partition) ?? [];
  }

  called(batch: readonly PendingAppend[]): void {
    this.batches.push(batch.map(({ key }) => key));
  }

  store({ partition, key }: PendingAppend): bigint {
    const stored = this.#stored.get(partition) ?? [];
    this.#stored.set(partition, stored);
    return BigInt(stored.push(key) - 1);
  }
}

export function openWith(
  commit: GroupCommitOptions['commit'],
  options: Partial<GroupCommitOptions> = {},
): GroupCommit {
  return new GroupCommit({
    commit,
    maxBatchRecords: 100,
    maxBatchBytes: 1024 * 1024,
    maxPendingBytes: 1024 * 1024,
    appendTimeoutMs: 5_000,
    ...options,
  });
}

export async function outcomeOf<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([promise]);
  return outcome;
}

/** Lets time pass until a promise settles, at most a minute of it. */
export async function settled<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  let outcome: PromiseSettledResult<T> | undefined;
  void outcomeOf(promise).then((result) => {
    outcome = result;
  });
  for (let waited = 0; outcome === undefined && waited < 60_000; waited += 10) {
    await new Promise((resolve) => setImmediate(resolve));
    await vi.advanceTimersByTimeAsync(10);
  }
  return outcome ?? { status: 'rejected', reason: new Error('did not settle within a minute') };
}

export async function resolved<T>(promise: Promise<T>): Promise<T> {
  const outcome = await settled(promise);
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}

/** Lets a commit or two happen, without any time passing. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The clocks that `GroupCommit` uses stand still until the test moves them. */
export function holdTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
}
