import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { apiOptions, before, openTestApi, type TestApi } from './api.fixture.ts';
import { createApi } from './api.ts';
import { ArrayMetricStore } from './array-metric-store.fixture.ts';
import { createQueryEvents } from './query-events.ts';
import { QUERY_PARAMETERS } from './query-parameters.ts';

const content = z.record(z.string(), z.object({ schema: z.record(z.string(), z.unknown()) }));
const description = z.object({
  openapi: z.string(),
  paths: z.record(
    z.string(),
    z.object({
      get: z.object({
        summary: z.string(),
        parameters: z.array(z.object({ name: z.string(), in: z.string() })).default([]),
        responses: z.record(z.string(), z.object({ description: z.string(), content })),
      }),
    }),
  ),
});

let api: TestApi;
let document: z.infer<typeof description>;

beforeAll(async () => {
  api = await openTestApi();
  await api.write('temperature', [before(5, 'a', 20), before(65, 'b', 21)]);
  document = description.parse(await (await fetch(`${api.url}/api/v1/openapi.json`)).json());
});

afterAll(() => api.close());

/** Paths as the router knows them, out of its drawing of a tree. */
async function routedPaths(): Promise<string[]> {
  const options = apiOptions(new ArrayMetricStore([]));
  const app = await createApi(options, createQueryEvents(options.registry, options.logger));
  await app.ready();
  const drawing = app.printRoutes({ commonPrefix: false });
  await app.close();
  return [...drawing.matchAll(/── (\S+) \(/g)].map(([, path = '']) => `/${path.replace(/^\//, '')}`);
}

describe('the description of the API', () => {
  it('is OpenAPI 3.1', () => {
    expect(document.openapi).toBe('3.1.0');
  });

  it('has every route and nothing else', async () => {
    const routed = await routedPaths();
    expect(routed).toContain('/api/v1/query');
    expect(Object.keys(document.paths).sort()).toEqual(routed.sort());
  });

  it('has every parameter of a query and nothing else', () => {
    const described = document.paths['/api/v1/query']?.get.parameters.map(({ name }) => name);
    expect(described).toEqual(QUERY_PARAMETERS.map(({ name }) => name));
  });

  it('is what the index lists', async () => {
    const index = await (await fetch(api.url)).text();
    const listed = [...index.matchAll(/^GET (\S+)/gm)].map(([, path]) => path);
    expect(listed).toEqual(Object.keys(document.paths));
  });

  it.each([
    ['/', 200],
    ['/api/v1/query?metric=temperature', 200],
    ['/api/v1/query?metric=temperature&every=1m&groupBy=none&agg=count,p95,stddev', 200],
    ['/api/v1/query?metric=nothing', 200],
    ['/api/v1/query?metric=temperature&format=csv', 200],
    ['/api/v1/query', 400],
    ['/api/v1/query?metric=temperature&every=1', 400],
    ['/api/v1/query?metric=temperature&from=0&every=10s', 422],
    ['/api/v1/devices?limit=1', 200],
    ['/api/v1/devices', 200],
    ['/api/v1/devices?limit=0', 400],
    ['/api/v1/metrics', 200],
    ['/api/v1/metrics?x=1', 400],
    ['/api/v1/openapi.json', 200],
    ['/health/live', 200],
    ['/health/ready', 200],
    ['/metrics', 200],
  ])('describes what GET %s answers with %i', async (address, status) => {
    const response = await fetch(`${api.url}${address}`);
    expect(response.status).toBe(status);
    const [path = ''] = address.split('?');
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
    const schema = document.paths[path]?.get.responses[String(status)]?.content[type]?.schema;
    expect(schema, `${status} ${type} is described`).toBeDefined();
    const body = type.endsWith('json') ? await response.json() : await response.text();
    expect(z.fromJSONSchema(schema ?? {}).safeParse(body)).toMatchObject({ success: true });
  });

  it('would notice an answer that is not as described', () => {
    const schema = document.paths['/api/v1/query']?.get.responses['200']?.content['application/json']?.schema;
    const query = z.fromJSONSchema(schema ?? {});
    expect(query.safeParse({ metric: 'temperature' }).success).toBe(false);
  });
});
