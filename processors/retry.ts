import { setTimeout as delay } from 'node:timers/promises';

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;

/**
 * Runs an attempt until it succeeds or the signal aborts, waiting 50 ms after the first failure and twice as long
 * after each further one, up to 5 s. Rejects with the signal's reason.
 */
export async function retryUntilAborted(
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
  attempt: () => Promise<void>,
): Promise<void> {
  for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, LAST_RETRY_MS)) {
    signal.throwIfAborted();
    try {
      await attempt();
      return;
    } catch (error) {
      onFailure(error);
    }
    await delay(waitMs, undefined, { signal });
  }
}
