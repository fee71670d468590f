import { createServer, type Server } from 'node:http';
import { Command, CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { before, NOON, openTestApi, RESOLUTIONS, type TestApi } from './api.fixture.ts';
import { createDevicesCommand, createMetricsCommand, createQueryCommand } from './query-command.ts';

let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
  await api.write('temperature', [
    before(65, 'kitchen', 20),
    before(64, 'kitchen', 21.25),
    before(5, 'kitchen', -1_000_000),
    before(61, 'b', 1 / 3),
  ]);
});

afterAll(() => api.close());

interface Outcome {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `sluice <words>` in this process. */
async function run(words: readonly string[], changes = {}): Promise<Outcome> {
  let out = '';
  let err = '';
  const dependencies = {
    defaultUrl: () => api.url,
    write: (text: string) => {
      out += text;
    },
    isTerminal: false,
    ...changes,
  };
  const program = new Command('sluice');
  for (const create of [createQueryCommand, createDevicesCommand, createMetricsCommand]) {
    program.addCommand(create(dependencies));
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => {
        out += text;
      },
      writeErr: (text) => {
        err += text;
      },
    });
  }
  try {
    await program.parseAsync([...words], { from: 'user' });
    return { exitCode: 0, out, err };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { exitCode: error.exitCode, out, err };
  }
}

describe('sluice query', () => {
  it('prints an aligned table', async () => {
    const { exitCode, out, err } = await run(['query', 'temperature', '--every', '1m', '--last', '2m']);
    expect(out).toBe(`\
temperature, 2026-01-31T11:58:00Z to 2026-01-31T12:00:00Z, every 1m, from windows of 10s

DEVICE   START (UTC)           COUNT      MEAN       MIN       MAX
b        2026-01-31T11:58:00Z      1  0.333333  0.333333  0.333333
kitchen  2026-01-31T11:58:00Z      2    20.625        20     21.25
kitchen  2026-01-31T11:59:00Z      1  -1000000  -1000000  -1000000
`);
    expect([exitCode, err]).toEqual([0, '']);
  });

  it('prints all devices merged without a column for them', async () => {
    const words = [
      'query',
      'temperature',
      '--group-by',
      'none',
      '--agg',
      'count,p99.9',
      '--from',
      '2026-01-31',
    ];
    expect((await run(words)).out).toBe(`\
temperature, 2026-01-31T00:00:00Z to 2026-01-31T12:00:00Z, one bucket, from windows of 10s

START (UTC)           COUNT  P99.9
2026-01-31T00:00:00Z      4  21.25
`);
  });

  it('answers from the resolution that is asked for', async () => {
    const { out } = await run(['query', 'temperature', '--last', '2h', '--resolution', '1m']);
    expect(out).toContain(', one bucket, from windows of 1m\n');
  });

  it('says from when a range is complete whose windows are not all kept any more', async () => {
    const kept = RESOLUTIONS.map((stored) => ({ ...stored, retentionMs: 86_400_000 }));
    const short = await openTestApi({ resolutions: kept });
    await short.write('temperature', [before(65, 'kitchen', 20)]);
    const words = ['temperature', '--last', '2d', '--every', '1m', '--url', short.url];
    expect((await run(['query', ...words])).out).toContain(
      'every 1m, from windows of 1m and 10s, complete from 2026-01-30T12:00:00Z (older ones are not kept)\n',
    );
    const nothing = await run([
      'query',
      'temperature',
      '--from',
      '2026-01-01',
      '--to',
      '2026-01-02',
      '--url',
      short.url,
    ]);
    expect(nothing.err).toContain('to 2026-01-02T00:00:00Z: windows of that time are not kept any more\n');
    await short.close();
  });

  it('marks the heading and keeps to the width of a terminal', async () => {
    const words = ['query', 'temperature', '--device', 'kitchen', '--last', '10s'];
    const { out } = await run(words, { isTerminal: true, width: 32 });
    expect(out).toContain('\u001b[1mDEVICE   START (UTC)           …\u001b[22m\n');
    expect(out).toContain('kitchen  2026-01-31T11:59:50Z  …\n');
  });

  it('prints CSV', async () => {
    const words = [
      'query',
      'temperature',
      '--device',
      'b',
      'nobody',
      '--agg',
      'count,last',
      '--format',
      'csv',
    ];
    expect((await run(words)).out).toBe(
      'device,start,count,last\r\nb,2026-01-31T11:00:00.000Z,1,0.3333333333333333\r\n',
    );
  });

  it('prints JSON as the API answers it', async () => {
    const words = [
      'query',
      'temperature',
      '--agg',
      'max',
      '--to',
      String(NOON),
      '--from',
      String(NOON - 20_000),
    ];
    const { out } = await run([...words, '--format', 'json']);
    expect(out).toBe(
      `{"metric":"temperature","resolutionMs":10000,"resolutions":[{"resolutionMs":10000,"from":${NOON - 20_000},"to":${NOON}}],"from":${NOON - 20_000},"to":${NOON},"completeFrom":${NOON - 20_000},"everyMs":null,"groupBy":"device","aggs":["max"],"series":[{"deviceId":"kitchen","buckets":[{"start":${NOON - 20_000},"max":-1000000}]}]}\n`,
    );
  });

  it('lists metrics that exist when nothing is found', async () => {
    const { exitCode, out, err } = await run(['query', 'humidity']);
    expect([exitCode, out]).toEqual([2, '']);
    expect(err).toBe(
      'nothing found: no aggregates of humidity from 2026-01-31T11:00:00Z to 2026-01-31T12:00:00Z\nmetrics that exist: temperature\n',
    );
  });

  it('prints what the API refuses', async () => {
    const { exitCode, err } = await run(['query', 'temperature', '--every', '15s']);
    expect(exitCode).toBe(1);
    expect(err).toBe(
      'error: Invalid parameter: every is "15s"; expected a multiple of a stored resolution: 10s, 1m\n',
    );
  });

  it('documents its exit codes', async () => {
    const { out } = await run(['query', '--help']);
    expect(out).toContain('Exit codes:\n  0  something was found and printed\n');
  });

  it('refuses an unknown format', async () => {
    const { exitCode, err } = await run(['query', 'temperature', '--format', 'xml']);
    expect(exitCode).toBe(1);
    expect(err).toContain('Allowed choices are table, json, csv');
  });
});

describe('sluice devices and sluice metrics', () => {
  it('list what is stored', async () => {
    expect((await run(['devices'])).out).toBe(
      'DEVICE   METRICS\nb        temperature\nkitchen  temperature\n',
    );
    expect((await run(['metrics'])).out).toBe('METRIC       DEVICES\ntemperature  2\n');
  });

  it('print JSON', async () => {
    expect((await run(['metrics', '--format', 'json'])).out).toBe(
      '{"metrics":[{"metric":"temperature","devices":2}]}\n',
    );
    expect((await run(['devices', '--format', 'json'])).out).toBe(
      '{"devices":[{"deviceId":"b","metrics":["temperature"]},{"deviceId":"kitchen","metrics":["temperature"]}]}\n',
    );
  });

  it('say when nothing has been stored', async () => {
    const empty = await openTestApi();
    for (const words of [['devices'], ['metrics']]) {
      expect(await run([...words, '--url', `${empty.url}/`])).toEqual({
        exitCode: 2,
        out: '',
        err: 'nothing found: nothing has been stored yet\n',
      });
    }
    await empty.close();
  });
});

describe('a command without its API', () => {
  it('names the address and how to start it', async () => {
    const gone = await openTestApi();
    await gone.close();
    const { exitCode, err } = await run(['query', 'temperature'], { defaultUrl: () => gone.url });
    expect(exitCode).toBe(1);
    expect(err).toBe(
      `error: the query API at ${gone.url} cannot be reached (connect ECONNREFUSED 127.0.0.1:${gone.port}); start it with \`sluice start\` or name another address with --url\n`,
    );
  });

  it('recognises that something else answers', async () => {
    const other = await listenOther(200, '{"hello":"world"}');
    const { exitCode, err } = await run(['metrics', '--url', other.url]);
    expect([exitCode, err]).toEqual([
      1,
      `error: what answers at ${other.url} is not a Sluice API of this version\n`,
    ]);
    other.server.close();
  });

  it('recognises that something else fails', async () => {
    const other = await listenOther(502, '<h1>Bad gateway</h1>');
    const { exitCode, err } = await run(['devices', '--url', other.url]);
    expect([exitCode, err]).toEqual([
      1,
      `error: what answers at ${other.url} is not a Sluice API: it answered with status 502\n`,
    ]);
    other.server.close();
  });

  it.each(['localhost:8080', 'ftp://localhost', 'http://'])('refuses %s as an address', async (url) => {
    const { exitCode, err } = await run(['metrics', '--url', url]);
    expect(exitCode).toBe(1);
    expect(err).toBe(`error: "${url}" is not the address of a query API; expected http://host:port\n`);
  });
});

async function listenOther(status: number, body: string): Promise<{ server: Server; url: string }> {
  const server = createServer((_request, response) => {
    response.writeHead(status, { connection: 'close' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return { server, url: `http://127.0.0.1:${address.port}` };
}
