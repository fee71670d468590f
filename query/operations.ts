import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { createQueryEvents, type QueryEvents } from './query-events.ts';
import { LIVE_ANSWERS, PROMETHEUS_ANSWERS, READY_ANSWERS } from './schemas.ts';
import { createServer, type HttpServer, listen } from './server.ts';

/** Whether this process can do its work, and every check that went into it. */
export interface Health {
  readonly ok: boolean;
  readonly checks: readonly HealthCheck[];
}

export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  /** Why not, when not ok. */
  readonly reason?: string;
}

export interface OperationsOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly registry: Registry;
  readonly logger: Logger;
  health(): Promise<Health>;
}

const DEADLINE_MS = 5_000;

/** Serves `/health/live`, `/health/ready` and `/metrics`, for a process that has no query API. */
export async function openOperations(options: OperationsOptions): Promise<HttpServer> {
  const events = createQueryEvents(options.registry, options.logger);
  const app = createServer(events, DEADLINE_MS);
  addOperationsRoutes(app, options, events);
  return listen(app, events, options.host, options.port);
}

/** Adds the routes that tell how the process is doing. */
export function addOperationsRoutes(
  app: FastifyInstance,
  options: Pick<OperationsOptions, 'health' | 'registry'>,
  events: QueryEvents,
): void {
  const tags = ['operations'];
  app.get(
    '/health/live',
    { schema: { tags, summary: 'Whether the process answers', response: LIVE_ANSWERS } },
    async () => ({ ok: true }),
  );
  app.get(
    '/health/ready',
    {
      handlerTimeout: DEADLINE_MS,
      schema: { tags, summary: 'Whether the process can do its work', response: READY_ANSWERS },
    },
    async (_request, reply) => {
      const health = await askHealth(options);
      if (!health.ok) {
        events.healthFailed(health.checks.filter(({ ok }) => !ok).map(({ name }) => name));
        reply.code(503);
      }
      return health;
    },
  );
  app.get(
    '/metrics',
    { schema: { tags, summary: 'Counters for Prometheus', response: PROMETHEUS_ANSWERS } },
    async (_request, reply) => {
      reply.type(options.registry.contentType);
      return options.registry.metrics();
    },
  );
}

async function askHealth({ health }: Pick<OperationsOptions, 'health'>): Promise<Health> {
  try {
    return await health();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, checks: [{ name: 'health', ok: false, reason }] };
  }
}
