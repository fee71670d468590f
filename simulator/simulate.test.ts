import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QueryApiError, SimulatorOptionError } from './errors.ts';
import { TestPipeline } from './pipeline.fixture.ts';
import { simulate } from './simulate.ts';
import type { SimulateOptions } from './simulate-options.ts';
import type { Verdict } from './verdict/verdict.ts';
import { formatVerdict } from './verdict/verdict-text.ts';

const never = new AbortController().signal;
let pipeline: TestPipeline;
let written = '';

beforeEach(async () => {
  pipeline = await TestPipeline.open();
  written = '';
});

afterEach(async () => {
  await pipeline.close();
});

const output = {
  isTerminal: false,
  write: (text: string) => {
    written += text;
  },
};

function run(options: Partial<SimulateOptions> = {}, signal = never): Promise<Verdict> {
  const source = { kind: 'fleet', profile: 'mixed', devices: 6, rate: 120, durationMs: 500 } as const;
  const urls = { mqttUrl: pipeline.broker.url, apiUrl: pipeline.apiUrl };
  return simulate({ ...urls, source, runId: 'r', settleTimeoutMs: 1, ...options }, output, signal);
}

describe('the verdict of a run', () => {
  it('is good when every acknowledged reading is in the aggregates', async () => {
    const verdict = await run();
    expect(verdict).toMatchObject({
      version: 1,
      ok: true,
      reasons: [],
      run: { runId: 'r', source: 'mixed', devices: 6, qos: 1 },
      messages: { due: 60, sent: 60, unsent: 0, acknowledged: 60, unknown: 0, missing: 0, countedTwice: 0 },
      aggregates: { complete: true, compared: 24, differing: 0, differences: [] },
      replay: null,
    });
    expect(verdict.latencyMs?.max).toBeGreaterThan(0);
    expect(verdict.rate.achieved).toBeGreaterThan(50);
    expect(formatVerdict(verdict)).toContain('verdict       PASS');
    expect(JSON.parse(JSON.stringify(verdict))).toEqual(verdict);
  });

  it('waits while the aggregates are incomplete or the API refuses', async () => {
    let asked = 0;
    pipeline.tamper = (readings) => (asked++ < 3 ? readings.slice(5) : readings);
    pipeline.refusals = 1;
    expect(await run({ settleTimeoutMs: 20_000 })).toMatchObject({
      ok: true,
      aggregates: { complete: true },
    });
  });

  it('names a message that is missing', async () => {
    pipeline.tamper = (readings) => {
      const lost = readings.find(({ deviceId }) => deviceId === 'machine-r-3');
      return readings.filter(
        ({ deviceId, timestamp }) => deviceId !== lost?.deviceId || timestamp !== lost.timestamp,
      );
    };
    const verdict = await run();
    expect(verdict).toMatchObject({
      ok: false,
      reasons: ['acknowledged messages missing from the aggregates: 1'],
      messages: { missing: 1, countedTwice: 0 },
      aggregates: { complete: false, differing: 0 },
    });
    expect(verdict.aggregates.differences).toHaveLength(4);
    expect(verdict.aggregates.differences[0]).toMatchObject({
      kind: 'missing',
      deviceId: 'machine-r-3',
      metric: 'vibration',
      expected: { count: 10 },
      seen: { count: 9 },
    });
    expect(formatVerdict(verdict)).toMatch(
      /missing\s+machine-r-3 vibration: expected count 10 .* seen count 9 /,
    );
  });

  it('names a device of which nothing arrived', async () => {
    pipeline.tamper = (readings) => readings.filter(({ deviceId }) => deviceId !== 'thermostat-r-4');
    const verdict = await run();
    expect(verdict).toMatchObject({ ok: false, messages: { missing: 10, countedTwice: 0 } });
    expect(verdict.aggregates.differences[0]).toMatchObject({ deviceId: 'thermostat-r-4', seen: null });
  });

  it('tells a message counted twice from a missing one, and permits it only on demand', async () => {
    pipeline.tamper = (readings) => {
      const last = readings.at(-1);
      const again = readings.filter(
        ({ deviceId, timestamp }) => deviceId === last?.deviceId && timestamp === last.timestamp,
      );
      return [...readings, ...again];
    };
    const strict = await run();
    expect(strict).toMatchObject({
      ok: false,
      reasons: ['messages counted twice: 1'],
      messages: { missing: 0, countedTwice: 1 },
      aggregates: { complete: true, differing: 0 },
    });
    expect(strict.aggregates.differences[0]).toMatchObject({ kind: 'counted-twice' });
    expect(await run({ allowDuplicates: true, runId: 's' })).toMatchObject({
      ok: true,
      messages: { countedTwice: 1 },
    });
  });

  it.each(['sum', 'min', 'max'])('finds a wrong %s even when duplicates are permitted', async (field) => {
    pipeline.tamperBucket = (bucket, deviceId, metric) =>
      deviceId === 'thermostat-r-0' && metric === 'humidity'
        ? { ...bucket, [field]: (bucket[field] ?? 0) + 0.01 }
        : bucket;
    expect(await run({ allowDuplicates: true })).toMatchObject({
      ok: false,
      reasons: ['aggregates that differ from what was sent: 1'],
      aggregates: { differing: 1, differences: [{ kind: 'differs', metric: 'humidity' }] },
    });
  });

  it('counts QoS 0 messages as unknown, and is not good when none arrived', async () => {
    const source = { kind: 'fleet', profile: 'machine', devices: 2, rate: 40, durationMs: 500 } as const;
    expect(await run({ qos: 0, source, settleTimeoutMs: 2_000 })).toMatchObject({
      ok: true,
      messages: { sent: 20, acknowledged: 0, unknown: 20, unknownCounted: 20 },
      latencyMs: null,
    });
    pipeline.tamper = () => [];
    expect(await run({ qos: 0, source })).toMatchObject({
      ok: false,
      reasons: ['nothing that was sent is in the aggregates'],
    });
  });

  it('is given for a run that was stopped', async () => {
    const controller = new AbortController();
    const source = { kind: 'fleet', profile: 'machine', devices: 2, rate: 100, durationMs: 600_000 } as const;
    const { broker } = pipeline;
    broker.authorizePublish = (_client, _packet, callback) => {
      if (broker.totalReceived >= 30) controller.abort();
      callback(null);
    };
    const verdict = await run({ source }, controller.signal);
    expect(verdict).toMatchObject({ ok: true, messages: { unknown: 0 } });
    expect(verdict.messages.acknowledged).toBeGreaterThanOrEqual(30);
  });

  it('cannot be drawn without the query API', async () => {
    pipeline.refusals = 1_000;
    await expect(run()).rejects.toThrow(QueryApiError);
    const { apiUrl } = pipeline;
    await pipeline.closeApi();
    await expect(run({ apiUrl })).rejects.toThrow(/cannot be reached.*ECONNREFUSED/);
  });
});

describe('the verdict of a replay', () => {
  const source = { kind: 'replay', file: 'nab', rate: 20_000, batch: 100 } as const;

  it('compares every hour and window of the bundled recording with the file', async () => {
    const verdict = await run({ source });
    expect(verdict).toMatchObject({
      ok: true,
      messages: { sent: 73, acknowledged: 73, missing: 0 },
      aggregates: { compared: 1 },
      replay: { windows: 7_267, differing: 0 },
    });
    expect(verdict.replay?.hours).toBeGreaterThan(120);
    expect([...pipeline.broker.received.keys()]).toEqual(['devices/replay-r-0/telemetry']);
  });

  it('finds two readings in each other’s place, which leave the whole as it is', async () => {
    pipeline.tamper = (readings) => {
      const [first, ...rest] = readings;
      const last = rest.pop();
      if (first === undefined || last === undefined) return readings;
      return [{ ...first, value: last.value }, ...rest, { ...last, value: first.value }];
    };
    const verdict = await run({ source });
    expect(verdict).toMatchObject({ ok: false, aggregates: { differing: 0 }, replay: { differing: 4 } });
    expect(formatVerdict(verdict)).toContain('buckets of the replay that differ from the file: 4');
  });
});

describe('the options of a run', () => {
  it.each<[Partial<SimulateOptions>, string]>([
    [{ mqttUrl: 'http://x' }, 'mqttUrl is "http://x", expected mqtt://host:port'],
    [{ apiUrl: 'localhost' }, 'apiUrl is "localhost"'],
    [{ runId: 'a/b' }, 'runId is "a/b"'],
    [{ maxInFlight: 0 }, 'maxInFlight is 0, expected a whole number from 1 to 1000'],
    [{ seed: 1.5 }, 'seed is 1.5'],
    [{ source: { kind: 'replay', file: 'nab', batch: 0 } }, 'batch is 0'],
    [{ source: { kind: 'replay', file: 'nab', compress: 0.5 } }, 'compress is 0.5'],
    [{ source: { kind: 'fleet', profile: 'mixed', devices: 0, rate: 1, durationMs: 1 } }, 'devices is 0'],
    [{ source: { kind: 'fleet', profile: 'mixed', devices: 1, rate: 0, durationMs: 1 } }, 'rate is 0'],
  ])('%j is refused', async (options, reason) => {
    await expect(run(options)).rejects.toThrow(SimulatorOptionError);
    await expect(run(options)).rejects.toThrow(reason);
    expect(written).toBe('');
  });
});
