import { withDeadline as rejectAfter } from '../deadline.ts';

/** Connecting a socket to a broker, and the first exchange on it. */
export const CONNECTION_TIMEOUT_MS = 4_000;

/** One request on an open connection. A connection that misses it once is not trusted again. */
export const REQUEST_TIMEOUT_MS = 7_000;

/** How long a broker may wait for its in-sync replicas before it answers that they are late. */
export const ACKS_TIMEOUT_MS = 5_000;

/**
 * Settles as `work` does, or rejects with `EventLogUnavailableError` after `ms`. kafkajs has waits without an
 * end of their own (SASL exchanges, `disconnect` with a request in flight), so nothing of it is awaited bare.
 */
export function withDeadline<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  return rejectAfter(work, ms, `Kafka: ${what} took more than ${ms} ms`);
}

/** Waits until `work` settles, either way, but no longer than `ms`. Leaves no timer behind. */
export async function settledWithin(work: Promise<unknown>, ms: number): Promise<void> {
  try {
    await withDeadline(work, ms, 'waiting');
  } catch {
    // Whoever started the work deals with its failure.
  }
}

/** Waits `ms`, or less when the signal aborts. Never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
