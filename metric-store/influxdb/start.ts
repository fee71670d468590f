import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MetricStoreError, MetricStoreSchemaError, MetricStoreUnavailableError } from '../errors.ts';
import type { HttpClient } from './http-client.ts';

export interface StartOptions {
  readonly http: HttpClient;
  readonly logger: Logger;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

/** Runs `setUp` on an InfluxDB that may still be starting: tries again until it succeeds or the time is over. */
export async function openWithin(options: StartOptions, setUp: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(2 * retryMs, LAST_RETRY_MS)) {
    options.signal?.throwIfAborted();
    try {
      await checkServer(options.http);
      return await setUp();
    } catch (error) {
      const retryable = error instanceof MetricStoreError && error.retryable;
      if (!retryable || performance.now() + retryMs > deadline) throw error;
      options.logger.warn({ err: error }, 'waiting for InfluxDB');
    }
    await sleep(retryMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** Fails for good on what waiting does not mend. */
async function checkServer(http: HttpClient): Promise<void> {
  const { status, version, text } = await http.send('GET', '/query?q=SHOW+DATABASES');
  if (status === 401 || status === 403) {
    throw new MetricStoreSchemaError(`InfluxDB refuses the credentials: ${text.trim()}`);
  }
  if (status !== 200) throw new MetricStoreUnavailableError(`InfluxDB answered ${status}: ${text.trim()}`);
  if (version === undefined) throw new MetricStoreSchemaError('what answers is no InfluxDB');
  if (!/^v?1\./.test(version)) {
    throw new MetricStoreSchemaError(`InfluxDB is version ${version}; 1.x is needed`);
  }
}
