import { MetricStoreError, MetricStoreUnavailableError } from '../errors.ts';

/**
 * Runs a call that has to settle within `timeoutMs`; the signal it gets aborts when it does not, or when the caller's
 * `signal` does, and the outcome no longer matters. Rejects with that signal's reason; whatever else goes wrong rejects
 * with a `MetricStoreError`.
 */
export async function withDeadline<T>(
  timeoutMs: number,
  call: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  const abort = new AbortController();
  let giveUp: (reason: unknown) => void = () => {};
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = (reason) => {
      reject(reason);
      abort.abort();
    };
  });
  const onAbort = () => giveUp(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => {
    giveUp(new MetricStoreUnavailableError(`InfluxDB did not answer within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await Promise.race([call(abort.signal), givenUp]);
  } catch (error) {
    if (error instanceof MetricStoreError) throw error;
    signal?.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw new MetricStoreUnavailableError(`InfluxDB cannot be reached: ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
