import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { openEmbeddedMetricStore } from '../metric-store/embedded/embedded-metric-store.ts';
import type { MetricStore } from '../metric-store/metric-store.ts';
import { type ApiOptions, openApi } from './api.ts';
import { type TestReading, toRows } from './array-metric-store.fixture.ts';
import type { HttpServer } from './server.ts';

/** 2026-01-31T12:00:00Z: the time of every request to a test API. */
export const NOON = Date.UTC(2026, 0, 31, 12);

export const RESOLUTIONS = [{ resolutionMs: 10_000 }, { resolutionMs: 60_000 }];

/** Options of an API over a store, on a free port. */
export function apiOptions(store: MetricStore, changes: Partial<ApiOptions> = {}): ApiOptions {
  return {
    store,
    resolutions: RESOLUTIONS,
    graceMs: 2_000,
    host: '127.0.0.1',
    port: 0,
    registry: new Registry(),
    logger: pino({ level: 'silent' }),
    health: async () => ({ ok: true, checks: [{ name: 'metric-store', ok: true }] }),
    clock: () => NOON,
    ...changes,
  };
}

/** A reading so many seconds before noon. */
export function before(seconds: number, deviceId: string, value: number, pane = 0): TestReading {
  return { deviceId, value, timestamp: NOON - seconds * 1_000, pane };
}

/** A running API over an embedded store in a temporary folder. */
export interface TestApi extends HttpServer {
  readonly store: MetricStore;
  write(metric: string, readings: readonly TestReading[]): Promise<void>;
}

/** The caller closes it; the store and its folder go with it. */
export async function openTestApi(changes: Partial<ApiOptions> = {}): Promise<TestApi> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-query-'));
  const logger = pino({ level: 'silent' });
  const store = await openEmbeddedMetricStore({ folder, resolutions: RESOLUTIONS, logger });
  const { url, port, close } = await openApi(apiOptions(store, changes));
  return {
    url,
    port,
    store,
    async write(metric, readings) {
      for (const { resolutionMs } of RESOLUTIONS) await store.write(toRows(readings, metric, resolutionMs));
    },
    async close() {
      await close();
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}
