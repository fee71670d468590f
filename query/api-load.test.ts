import { EventEmitter, once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { MetricStore, Selection, WindowAggregate } from '../metric-store/metric-store.ts';
import { apiOptions, openTestApi } from './api.fixture.ts';
import { type Api, type ApiOptions, openApi } from './api.ts';
import { ArrayMetricStore } from './array-metric-store.fixture.ts';
import { ListenError } from './server.ts';

const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const api of opened.splice(0)) await api.close();
});

async function open(store: MetricStore, changes: Partial<ApiOptions> = {}): Promise<Api> {
  const api = await openApi(apiOptions(store, changes));
  opened.push(api);
  return api;
}

/** A store whose reads wait until they are released. */
class StuckMetricStore extends ArrayMetricStore {
  readonly #gate = new EventEmitter();
  #released = false;
  reads = 0;

  constructor() {
    super([]);
  }

  release(): void {
    this.#released = true;
    this.#gate.emit('released');
  }

  override async *read(selection: Selection): AsyncGenerator<readonly WindowAggregate[]> {
    this.reads++;
    if (!this.#released) await once(this.#gate, 'released');
    yield* super.read(selection);
  }
}

const QUERY = '/api/v1/query?metric=temperature';

describe('an API under trouble', () => {
  it('answers 503 when the store is unavailable, and says so', async () => {
    const api = await openTestApi();
    opened.push(api);
    await api.store.close();
    for (const path of [QUERY, '/api/v1/devices', '/api/v1/metrics']) {
      const response = await fetch(`${api.url}${path}`);
      expect(response.status).toBe(503);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect(await response.json()).toMatchObject({ type: 'urn:sluice:problem:store-unavailable' });
    }
  });

  it('answers 503 at its deadline; the query keeps its place until the store lets go of it', async () => {
    const store = new StuckMetricStore();
    const { url } = await open(store, { deadlineMs: 50, maxRunningQueries: 1 });
    const late = await fetch(`${url}${QUERY}`);
    expect(late.status).toBe(503);
    expect(await late.json()).toMatchObject({ type: 'urn:sluice:problem:deadline' });

    const refused = await fetch(`${url}${QUERY}`);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('2');
    expect(await refused.json()).toMatchObject({
      type: 'urn:sluice:problem:busy',
      detail: '1 queries are running, as many as may run at once; try again',
    });
    expect(store.reads).toBe(1);

    store.release();
    await vi.waitFor(async () => expect((await fetch(`${url}${QUERY}`)).status).toBe(200));
  });

  it('stops reading for a client that went away', async () => {
    const store = new StuckMetricStore();
    const { url } = await open(store);
    const client = new AbortController();
    const running = fetch(`${url}${QUERY}&last=24h`, { signal: client.signal });
    await vi.waitFor(() => expect(store.reads).toBe(1));
    client.abort();
    await expect(running).rejects.toThrow();
    const metrics = async () => (await fetch(`${url}/metrics`)).text();
    await vi.waitFor(async () =>
      expect(await metrics()).toContain('sluice_api_requests_abandoned_total{route="/api/v1/query"} 1'),
    );
    store.release();
    await vi.waitFor(async () => expect(await metrics()).toContain('sluice_api_queries_running 0'));
    expect(store.reads).toBe(1);
  });

  it('answers what is running before it closes', async () => {
    const store = new StuckMetricStore();
    const api = await open(store);
    const running = fetch(`${api.url}${QUERY}`);
    await vi.waitFor(() => expect(store.reads).toBe(1));
    const closed = api.close();
    store.release();
    const answer = await running;
    expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close']);
    await closed;
    await expect(fetch(api.url)).rejects.toThrow();
  });

  it('says which address is taken', async () => {
    const { port } = await open(new ArrayMetricStore([]));
    const second = open(new ArrayMetricStore([]), { port });
    await expect(second).rejects.toThrow(ListenError);
    await expect(second).rejects.toThrow(`cannot serve HTTP on 127.0.0.1:${port}: `);
  });

  it('counts what it answered by route, not by address', async () => {
    const { url } = await open(new ArrayMetricStore([]));
    await fetch(`${url}${QUERY}`);
    await fetch(`${url}${QUERY}&every=1`);
    await fetch(`${url}/nowhere`);
    await vi.waitFor(async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      expect(text).toContain('sluice_api_requests_total{route="/api/v1/query",status="200"} 1');
      expect(text).toContain('sluice_api_requests_total{route="/api/v1/query",status="400"} 1');
      expect(text).toContain('sluice_api_requests_total{route="none",status="404"} 1');
      expect(text).toContain('sluice_api_request_duration_seconds_count{route="/api/v1/query"} 2');
      expect(text).toContain('sluice_api_queries_running 0');
    });
  });
});
