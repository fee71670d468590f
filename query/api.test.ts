import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { before, NOON, openTestApi, type TestApi } from './api.fixture.ts';

let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
  await api.write('temperature', [
    before(65, 'a', 20),
    before(64, 'a', 21),
    before(63, 'a', 25, 3),
    before(5, 'a', 22),
    before(61, 'b', 30),
  ]);
  await api.write('door', [before(5, 'c', 1)]);
});

afterAll(() => api.close());

async function get(path: string) {
  const response = await fetch(`${api.url}${path}`);
  const body = await response.text();
  const type = response.headers.get('content-type');
  return { status: response.status, type, body, json: type?.includes('json') ? JSON.parse(body) : undefined };
}

describe('GET /api/v1/query', () => {
  it('answers one bucket over the last hour unless asked otherwise, panes merged', async () => {
    const { status, type, json } = await get('/api/v1/query?metric=temperature');
    expect(status).toBe(200);
    expect(type).toBe('application/json; charset=utf-8');
    expect(json).toEqual({
      metric: 'temperature',
      resolutionMs: 10_000,
      resolutions: [{ resolutionMs: 10_000, from: NOON - 3_600_000, to: NOON }],
      from: NOON - 3_600_000,
      to: NOON,
      completeFrom: NOON - 3_600_000,
      everyMs: null,
      groupBy: 'device',
      aggs: ['count', 'mean', 'min', 'max'],
      series: [
        { deviceId: 'a', buckets: [{ start: NOON - 3_600_000, count: 4, mean: 22, min: 20, max: 25 }] },
        { deviceId: 'b', buckets: [{ start: NOON - 3_600_000, count: 1, mean: 30, min: 30, max: 30 }] },
      ],
    });
  });

  it('answers buckets of all devices merged, with percentiles', async () => {
    const { json } = await get(
      '/api/v1/query?metric=temperature&agg=count,p50,p99.9&agg=last&every=1m&last=2m&groupBy=none',
    );
    expect(json).toMatchObject({ everyMs: 60_000, groupBy: 'none', aggs: ['count', 'p50', 'p99.9', 'last'] });
    expect(json.series).toEqual([
      {
        deviceId: null,
        buckets: [
          { start: NOON - 120_000, count: 4, p50: 21, 'p99.9': 30, last: 30 },
          { start: NOON - 60_000, count: 1, p50: 22, 'p99.9': 22, last: 22 },
        ],
      },
    ]);
  });

  it.each([
    ['device=a&device=c', ['a']],
    ['device=a,b', ['a', 'b']],
    ['device=nobody', []],
  ])('selects devices by %s', async (parameters, devices) => {
    const { json } = await get(`/api/v1/query?metric=temperature&${parameters}`);
    expect(json.series.map((series: { deviceId: string }) => series.deviceId)).toEqual(devices);
  });

  it('reads from and to as ISO 8601 or as ms, and says which range it used', async () => {
    const iso = await get(
      '/api/v1/query?metric=temperature&from=2026-01-31T11:58:59Z&to=2026-01-31T13:00:00%2B01:00',
    );
    const ms = await get(`/api/v1/query?metric=temperature&from=${NOON - 61_000}&to=${NOON}`);
    expect(ms.json).toEqual(iso.json);
    expect(iso.json).toMatchObject({ from: NOON - 70_000, to: NOON });
  });

  it.each([
    ['finest', 10_000, NOON - 190_000],
    ['1m', 60_000, NOON - 240_000],
  ])('answers from one resolution when %s is asked for', async (resolution, resolutionMs, from) => {
    const { json } = await get(
      `/api/v1/query?metric=temperature&agg=count&last=3m5s&resolution=${resolution}`,
    );
    expect(json.resolutions).toEqual([{ resolutionMs, from, to: NOON }]);
    expect(json.series[0].buckets[0].count).toBe(4);
  });

  it('answers CSV', async () => {
    const { type, body } = await get('/api/v1/query?metric=temperature&last=10s&agg=count,mean&format=csv');
    expect(type).toBe('text/csv; charset=utf-8');
    expect(body).toBe('device,start,count,mean\r\na,2026-01-31T11:59:50.000Z,1,22\r\n');
  });

  it.each([
    ['', 'metric', undefined, 'metric is missing; expected the name of a metric, 1 to 256 characters'],
    ['metric=', 'metric', '', 'metric is ""; expected the name of a metric'],
    ['metric=t&metric=u', 'metric', 't,u', 'metric is "t,u"; expected a single value: the name of a metric'],
    [
      'metric=t&bucket=1m',
      'bucket',
      '1m',
      'bucket is "1m"; expected one of the parameters metric, device, agg',
    ],
    ['metric=t&agg=avg', 'agg', 'avg', 'agg is "avg"; expected count, sum, mean'],
    ['metric=t&agg=mean,', 'agg', '', 'agg is ""; expected count, sum, mean'],
    ['metric=t&every=1', 'every', '1', 'every is "1"; expected a duration such as 500ms'],
    [
      'metric=t&every=15s',
      'every',
      '15s',
      'every is "15s"; expected a multiple of a stored resolution: 10s, 1m',
    ],
    ['metric=t&last=0s', 'last', '0s', 'last is "0s"; expected a duration'],
    [
      'metric=t&from=yesterday',
      'from',
      'yesterday',
      'from is "yesterday"; expected ms since the epoch or an ISO',
    ],
    ['metric=t&from=2026-02-30', 'from', '2026-02-30', 'from is "2026-02-30"; expected'],
    ['metric=t&from=2026-01-31T12:00', 'from', '2026-01-31T12:00', 'with its zone'],
    ['metric=t&to=5', 'from', undefined, 'from is missing; expected ms since the epoch'],
    ['metric=t&from=5&last=1h', 'from', '5', 'from is "5"; expected neither from nor to beside last'],
    ['metric=t&from=5&to=5', 'from', '1970-01-01T00:00:00.005Z', 'expected a time before to'],
    ['metric=t&groupBy=metric', 'groupBy', 'metric', 'groupBy is "metric"; expected device or none'],
    ['metric=t&resolution=1', 'resolution', '1', 'resolution is "1"; expected finest or a duration such as'],
    [
      'metric=t&resolution=5s',
      'resolution',
      '5s',
      'resolution is "5s"; expected finest or a stored resolution: 10s, 1m',
    ],
    ['metric=t&format=xml', 'format', 'xml', 'format is "xml"; expected json or csv'],
    ['metric=t&device=', 'device', '', 'device is ""; expected the id of a device'],
  ])('refuses ?%s with what is wrong', async (parameters, parameter, value, detail) => {
    const { status, type, json } = await get(`/api/v1/query?${parameters}`);
    expect(status).toBe(400);
    expect(type).toBe('application/problem+json; charset=utf-8');
    expect(json).toMatchObject({ type: 'urn:sluice:problem:invalid-parameter', status: 400, parameter });
    expect(json.value).toBe(value);
    expect(json.detail).toContain(detail);
    expect(json.detail).toContain(json.expected);
  });

  it('refuses more buckets than a query may return', async () => {
    const { status, json } = await get('/api/v1/query?metric=temperature&from=0&every=10s');
    expect(status).toBe(422);
    expect(json.detail).toContain('buckets of 10s, more than the 100000 that a query may return');
  });
});

describe('GET /api/v1/devices', () => {
  it('lists the devices with their metrics in pages', async () => {
    const first = await get('/api/v1/devices?limit=2');
    expect(first.json).toEqual({
      devices: [
        { deviceId: 'a', metrics: ['temperature'] },
        { deviceId: 'b', metrics: ['temperature'] },
      ],
      next: 'b',
    });
    const second = await get(`/api/v1/devices?limit=2&after=${first.json.next}`);
    expect(second.json).toEqual({ devices: [{ deviceId: 'c', metrics: ['door'] }], next: null });
  });

  it.each(['0', '10001', '1.5', 'all'])('refuses a limit of %s', async (limit) => {
    const { status, json } = await get(`/api/v1/devices?limit=${limit}`);
    expect(status).toBe(400);
    expect(json.detail).toBe(`limit is "${limit}"; expected a whole number from 1 to 10000`);
  });
});

describe('GET /api/v1/metrics', () => {
  it('lists the metrics and how many devices have them', async () => {
    const { json } = await get('/api/v1/metrics');
    expect(json).toEqual({
      metrics: [
        { metric: 'door', devices: 1 },
        { metric: 'temperature', devices: 2 },
      ],
    });
  });

  it('takes no parameters', async () => {
    const { status, json } = await get('/api/v1/metrics?limit=1');
    expect(status).toBe(400);
    expect(json.detail).toBe('limit is "1"; expected no parameters');
  });
});

describe('every other address', () => {
  it('is refused with a pointer to the index', async () => {
    const { status, json } = await get('/api/v2/query?metric=t');
    expect(status).toBe(404);
    expect(json.detail).toBe('there is no GET /api/v2/query; GET / lists what there is');
  });

  it('is refused readably when it cannot be decoded', async () => {
    const { status, type } = await get('/%zz');
    expect([status, type]).toEqual([400, 'application/problem+json; charset=utf-8']);
  });
});
