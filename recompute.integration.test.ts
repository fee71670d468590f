import { describe, expect, inject, test } from 'vitest';
import { freePort, type Settings, startSluice, temporaryFolder, untilReady } from './pipeline.fixture.ts';

interface Ended {
  readonly code: number | NodeJS.Signals;
  readonly output: string;
}

async function run(settings: Settings, ...args: readonly string[]): Promise<Ended> {
  const sluice = startSluice(args, settings);
  const code = await sluice.ended;
  return { code, output: sluice.output() };
}

async function settingsWith(engines: Settings): Promise<{ settings: Settings; apiPort: number }> {
  const apiPort = await freePort();
  const settings = {
    ...engines,
    SLUICE_GATEWAY_PORT: `${await freePort()}`,
    SLUICE_API_PORT: `${apiPort}`,
    SLUICE_OPERATIONS_PORT: '0',
    SLUICE_PROCESSOR_WINDOWS: '2s,10s,1m',
    SLUICE_PROCESSOR_GRACE: '500ms',
    SLUICE_PROCESSOR_MAX_AGE: '6d',
    SLUICE_PROCESSOR_CHECKPOINT_INTERVAL: '500ms',
  };
  return { settings, apiPort };
}

/** Sends a fleet's messages, which end up in the aggregates, and returns options that name their time. */
async function sendFleet(settings: Settings): Promise<readonly string[]> {
  const from = Date.now() - 60_000;
  const fleet = ['simulate', '--devices', '40', '--rate', '400', '--duration', '6s'];
  const { code, output } = await run(settings, ...fleet);
  expect(code, output).toBe(0);
  return ['--from', `${from}`, '--to', `${Date.now() + 60_000}`];
}

function expectEqual({ code, output }: Ended): void {
  expect(code, output).toBe(0);
  expect(output).toMatch(/^windows of 2s +[1-9].*^differences +0\n.*^verdict +EQUAL$/ms);
}

test('embedded: verify asks to stop the pipeline, then finds it equal; replay over what is there keeps it so', async () => {
  const { settings, apiPort } = await settingsWith({ SLUICE_DATA_FOLDER: await temporaryFolder() });
  const all = startSluice(['start'], settings);
  await untilReady(all, apiPort);
  const range = await sendFleet(settings);

  const refused = await run(settings, 'verify', ...range);
  expect(refused.code).toBe(2);
  expect(refused.output).toMatch(new RegExp(`another process \\(PID ${all.child.pid}\\)`));

  all.child.kill('SIGTERM');
  expect(await all.ended, all.output()).toBe(0);
  expectEqual(await run(settings, 'verify', ...range));
  const unconfirmed = await run(settings, 'replay', ...range);
  expect(unconfirmed, unconfirmed.output).toMatchObject({
    code: 2,
    output: expect.stringContaining('--yes'),
  });
  const replayed = await run(settings, 'replay', ...range, '--yes');
  expect(replayed.output).toMatch(/^[1-9][\d,]* rows written/m);
  expect(replayed.code).toBe(0);
  expectEqual(await run(settings, 'verify', ...range));
});

const isScaledOutHere = inject('kafkaBrokers') !== '' && inject('influxdbUrl') !== '';

describe.skipIf(!isScaledOutHere)('on Kafka and InfluxDB', () => {
  test('rows that the store has lost are found and come back while the pipeline goes on', async () => {
    const name = `recompute-${Math.random().toString(36).slice(2, 10)}`;
    const { settings, apiPort } = await settingsWith({
      SLUICE_EVENT_LOG_KIND: 'kafka',
      SLUICE_EVENT_LOG_BROKERS: inject('kafkaBrokers'),
      SLUICE_EVENT_LOG_TOPIC_PREFIX: name,
      SLUICE_METRIC_STORE_KIND: 'influxdb',
      SLUICE_METRIC_STORE_URL: inject('influxdbUrl'),
      SLUICE_METRIC_STORE_DATABASE: name,
      SLUICE_PROCESSOR_GROUP: name,
    });
    await untilReady(startSluice(['api'], settings), apiPort);
    const gatewayPort = await freePort();
    const gateway = startSluice(['gateway'], { ...settings, SLUICE_OPERATIONS_PORT: `${gatewayPort}` });
    await untilReady(gateway, gatewayPort);
    startSluice(['processor'], settings);
    const range = await sendFleet(settings);
    expectEqual(await run(settings, 'verify', ...range));

    await deleteAllRows(inject('influxdbUrl'), name);
    const lost = await run(settings, 'verify', ...range);
    expect(lost.output).toMatch(
      /missing row: device \S+, metric \S+, window of 2s from .*^verdict +DIFFERENT$/ms,
    );
    expect(lost.code).toBe(1);

    const replayed = await run(settings, 'replay', ...range, '--yes');
    expect(replayed.code, replayed.output).toBe(0);
    expectEqual(await run(settings, 'verify', ...range));
  });
});

async function deleteAllRows(url: string, database: string): Promise<void> {
  const answer = await fetch(`${url}/query?db=${database}`, {
    method: 'POST',
    body: new URLSearchParams({ q: 'DELETE FROM /.*/' }),
  });
  expect(await answer.text()).not.toMatch(/error/);
}
