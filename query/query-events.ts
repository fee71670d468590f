import type { Logger } from 'pino';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** One function per thing that happens in the API: it counts it and, where a person should know, logs it. */
export interface QueryEvents {
  listening(url: string): void;
  /** `route` is the route's pattern, never the address asked for. */
  requestAnswered(route: string, status: number, seconds: number): void;
  /** The client went away before it was answered. */
  requestAbandoned(route: string): void;
  /** A request failed for a reason that is not the client's. */
  requestFailed(route: string, status: number, error: unknown): void;
  healthFailed(failing: readonly string[]): void;
  /** Has the number of running queries read whenever metrics are collected. */
  watchRunning(running: () => number): void;
}

const LOG_INTERVAL_MS = 5_000;

export function createQueryEvents(registry: Registry, logger: Logger): QueryEvents {
  const registers = [registry];
  const requests = new Counter({
    name: 'sluice_api_requests_total',
    help: 'HTTP requests answered.',
    labelNames: ['route', 'status'],
    registers,
  });
  const duration = new Histogram({
    name: 'sluice_api_request_duration_seconds',
    help: 'Time from the arrival of an HTTP request to the end of its answer.',
    labelNames: ['route'],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 30],
    registers,
  });
  const abandoned = new Counter({
    name: 'sluice_api_requests_abandoned_total',
    help: 'HTTP requests whose client went away before the answer.',
    labelNames: ['route'],
    registers,
  });
  const mayLogFailure = createPacer();
  const mayLogHealth = createPacer();
  return {
    listening: (url) => logger.info({ url }, 'HTTP is listening'),
    requestAnswered(route, status, seconds) {
      requests.inc({ route, status });
      duration.observe({ route }, seconds);
    },
    requestAbandoned: (route) => abandoned.inc({ route }),
    requestFailed(route, status, error) {
      const unlogged = mayLogFailure();
      if (unlogged === undefined) return;
      const line = { err: error, route, status, unlogged };
      if (status === 500) logger.error(line, 'a request failed');
      else logger.warn(line, 'a request could not be served');
    },
    healthFailed(failing) {
      if (mayLogHealth() !== undefined) logger.warn({ failing }, 'not ready');
    },
    watchRunning(running) {
      new Gauge({
        name: 'sluice_api_queries_running',
        help: 'Queries that are running.',
        registers,
        collect() {
          this.set(running());
        },
      });
    },
  };
}

/** Returns how many lines were left out since the last one, or undefined when this one is to be left out too. */
function createPacer(): () => number | undefined {
  let last = Number.NEGATIVE_INFINITY;
  let unlogged = 0;
  return () => {
    if (performance.now() - last < LOG_INTERVAL_MS) {
      unlogged++;
      return undefined;
    }
    const left = unlogged;
    last = performance.now();
    unlogged = 0;
    return left;
  };
}
