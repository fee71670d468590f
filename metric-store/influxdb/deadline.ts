import { MetricStoreError, MetricStoreUnavailableError } from '../errors.ts';

/**
 * Runs a call that has to settle within `timeoutMs`; the signal aborts when it does not, and the outcome no longer
 * matters. Whatever goes wrong rejects with a `MetricStoreError`.
 */
export async function withDeadline<T>(
  timeoutMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new MetricStoreUnavailableError(`InfluxDB did not answer within ${timeoutMs} ms`));
      abort.abort();
    }, timeoutMs);
  });
  try {
    return await Promise.race([call(abort.signal), expired]);
  } catch (error) {
    if (error instanceof MetricStoreError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MetricStoreUnavailableError(`InfluxDB cannot be reached: ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
