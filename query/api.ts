import { fastifySwagger } from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import type { MetricStore } from '../metric-store/metric-store.ts';
import type { Resolution } from '../metric-store/resolutions.ts';
import { toCsv } from './csv.ts';
import { addOperationsRoutes, type OperationsOptions } from './operations.ts';
import { describeParameters, ParameterReader, type RawParameters } from './parameters.ts';
import { runQuery } from './query.ts';
import { createQueryEvents, type QueryEvents } from './query-events.ts';
import { QueryGate } from './query-gate.ts';
import { QUERY_PARAMETERS, REQUIRED_QUERY_PARAMETERS, readQuery } from './query-parameters.ts';
import { settling } from './resolution.ts';
import {
  DEVICES_ANSWERS,
  INDEX_ANSWERS,
  METRICS_ANSWERS,
  OPENAPI_ANSWERS,
  QUERY_ANSWERS,
} from './schemas.ts';
import { DEVICES_PARAMETERS, listDevices, listMetrics, readDevicePage } from './series-listing.ts';
import { createServer, type HttpServer, listen } from './server.ts';

export { openOperations } from './operations.ts';

export interface ApiOptions extends OperationsOptions {
  /** Not closed by the API. */
  readonly store: MetricStore;
  /** The window sizes that the store holds, at least one. */
  readonly resolutions: readonly Resolution[];
  /** How long after its end the processors keep a window open, ms. */
  readonly graceMs: number;
  /** Ms since the epoch. */
  clock(): number;
  /** A request that takes longer is answered with 503, ms. Default 30 s. */
  readonly deadlineMs?: number;
  /** Queries that run at once; more are answered with 503. Default 8. */
  readonly maxRunningQueries?: number;
}

export type Api = HttpServer;

const DEFAULT_DEADLINE_MS = 30_000;
const DEFAULT_MAX_RUNNING = 8;

/** Serves the query API, health and metrics. Rejects with `ListenError`. */
export async function openApi(options: ApiOptions): Promise<Api> {
  const events = createQueryEvents(options.registry, options.logger);
  return listen(await createApi(options, events), events, options.host, options.port);
}

/** The API before it listens. */
export async function createApi(options: ApiOptions, events: QueryEvents): Promise<FastifyInstance> {
  const gate = new QueryGate(options.maxRunningQueries ?? DEFAULT_MAX_RUNNING);
  events.watchRunning(() => gate.running);
  const app = createServer(events, options.deadlineMs ?? DEFAULT_DEADLINE_MS);
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Sluice', description: 'Aggregates of what devices measured.', version: '1' },
    },
  });
  addQueryRoute(app, options, gate);
  addSeriesRoutes(app, options, gate);
  addOperationsRoutes(app, options, events);
  addDescriptionRoutes(app);
  return app;
}

function addQueryRoute(app: FastifyInstance, options: ApiOptions, gate: QueryGate): void {
  const { store, clock } = options;
  const resolutions = settling(options.resolutions, options.graceMs);
  app.get<{ Querystring: RawParameters }>(
    '/api/v1/query',
    {
      schema: {
        summary: 'Aggregates of a metric over a range of time',
        tags: ['query'],
        querystring: describeParameters(QUERY_PARAMETERS, REQUIRED_QUERY_PARAMETERS),
        response: QUERY_ANSWERS,
      },
    },
    async (request, reply) => {
      const { query, format } = readQuery(request.query, resolutions, clock());
      const result = await gate.run(() => runQuery(store, query, request.signal));
      if (format === 'json') return result;
      reply.type('text/csv; charset=utf-8');
      return toCsv(result);
    },
  );
}

function addSeriesRoutes(app: FastifyInstance, { store }: ApiOptions, gate: QueryGate): void {
  app.get<{ Querystring: RawParameters }>(
    '/api/v1/devices',
    {
      schema: {
        summary: 'Devices and their metrics, in pages',
        tags: ['query'],
        querystring: describeParameters(DEVICES_PARAMETERS),
        response: DEVICES_ANSWERS,
      },
    },
    async (request) => {
      const page = readDevicePage(request.query);
      return listDevices(await gate.run(() => store.series()), page);
    },
  );
  app.get<{ Querystring: RawParameters }>(
    '/api/v1/metrics',
    {
      schema: {
        summary: 'Metrics and how many devices have them',
        tags: ['query'],
        querystring: describeParameters([]),
        response: METRICS_ANSWERS,
      },
    },
    async (request) => {
      new ParameterReader(request.query, []);
      return listMetrics(await gate.run(() => store.series()));
    },
  );
}

function addDescriptionRoutes(app: FastifyInstance): void {
  app.get(
    '/api/v1/openapi.json',
    { schema: { summary: 'This description', tags: ['description'], response: OPENAPI_ANSWERS } },
    async () => app.swagger(),
  );
  app.get(
    '/',
    { schema: { summary: 'An index of this API', tags: ['description'], response: INDEX_ANSWERS } },
    async (_request, reply) => {
      reply.type('text/plain; charset=utf-8');
      return index(app);
    },
  );
}

/** Lists what the description has, so that it cannot leave anything out. */
function index(app: FastifyInstance): string {
  const paths = Object.entries(app.swagger().paths ?? {});
  const widest = Math.max(...paths.map(([path]) => path.length));
  const lines = paths.map(([path, item]) => `GET ${path.padEnd(widest)}  ${item?.get?.summary ?? ''}\n`);
  return `Sluice query API\n\n${lines.join('')}`;
}
