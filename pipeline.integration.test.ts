import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, test } from 'vitest';
import {
  choosePorts,
  expectConnectionsLost,
  expectPass,
  freePort,
  kill,
  OwnService,
  type Ports,
  type Settings,
  type SluiceProcess,
  scaledOut,
  settingsOf,
  simulate,
  startSluice,
  temporaryFolder,
  untilReady,
  untilUnderLoad,
} from './pipeline.fixture.ts';

/** A gateway, two processors and an API, each a process of its own, sharing what the engines hold. */
class ScaledOutRoles {
  readonly settings: Settings;
  readonly #ports: Ports;
  #gateway: SluiceProcess | undefined;

  private constructor(settings: Settings, ports: Ports) {
    this.settings = settings;
    this.#ports = ports;
  }

  static async start(brokers: string, url: string): Promise<ScaledOutRoles> {
    const ports = await choosePorts();
    const settings = settingsOf(ports, scaledOut(brokers, url));
    const roles = new ScaledOutRoles(settings, ports);
    await untilReady(startSluice(['api'], settings), ports.api);
    await roles.startGateway();
    startSluice(['processor'], settings);
    startSluice(['processor'], settings);
    return roles;
  }

  async startGateway(): Promise<void> {
    this.#gateway = startSluice(['gateway'], {
      ...this.settings,
      SLUICE_OPERATIONS_PORT: `${this.#ports.gateway}`,
    });
    await untilReady(this.#gateway, this.#ports.gateway);
  }

  async killGateway(): Promise<void> {
    if (this.#gateway !== undefined) await kill(this.#gateway);
  }
}

/** Moments of a run at which something is killed, ms after the one before. */
const KILLS_AFTER_MS = [1_300, 2_100];

test('a role that still waits for its servers stops at SIGTERM with code 0', async () => {
  const nowhere = scaledOut(`127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`);
  const gateway = startSluice(['gateway'], settingsOf(await choosePorts(), nowhere));
  await expect
    .poll(() => gateway.output(), { timeout: 30_000, interval: 100 })
    .toMatch(/wait|unavailable|retry|connect/i);
  gateway.child.kill('SIGTERM');
  expect(await gateway.ended, gateway.output()).toBe(0);
  expect(gateway.output()).toMatch(/stopped before it had started/);
});

describe('embedded, in one process', () => {
  async function startAll(settings: Settings, ports: Ports): Promise<SluiceProcess> {
    const all = startSluice(['start'], settings);
    await untilReady(all, ports.api);
    return all;
  }

  test('a fleet and a recording end with equal aggregates, and SIGTERM stops cleanly', async () => {
    const ports = await choosePorts();
    const settings = settingsOf(ports, { SLUICE_DATA_FOLDER: await temporaryFolder() });
    const all = await startAll(settings, ports);
    await expectPass(simulate(settings, '--devices', '50', '--rate', '1000', '--duration', '6s'));
    await expectPass(simulate(settings, '--replay', 'nab', '--rate', '3000'));
    all.child.kill('SIGTERM');
    expect(await all.ended, all.output()).toBe(0);
    expect(all.output()).toMatch(/stopped/);
  });

  test('kill -9 under load loses nothing that was acknowledged', async () => {
    const ports = await choosePorts();
    const settings = settingsOf(ports, { SLUICE_DATA_FOLDER: await temporaryFolder() });
    let all = await startAll(settings, ports);
    const run = simulate(settings, '--devices', '50', '--rate', '1000', '--duration', '15s');
    for (const ms of KILLS_AFTER_MS) {
      await untilUnderLoad(run);
      await delay(ms);
      await kill(all);
      all = await startAll(settings, ports);
    }
    await expectPass(run);
    expectConnectionsLost(run);
  });

  test('kill -9 several times within one window and across checkpoints counts everything once', async () => {
    const ports = await choosePorts();
    const settings = {
      ...settingsOf(ports, { SLUICE_DATA_FOLDER: await temporaryFolder() }),
      SLUICE_PROCESSOR_WINDOWS: '20s,1m,1h',
      SLUICE_PROCESSOR_CHECKPOINT_INTERVAL: '500ms',
    };
    let all = await startAll(settings, ports);
    const run = simulate(settings, '--devices', '50', '--rate', '1000', '--duration', '20s');
    await untilUnderLoad(run);
    for (const ms of [400, 1_500, 700, 2_300, 1_100]) {
      await delay(ms);
      await kill(all);
      all = await startAll(settings, ports);
    }
    await expectPass(run);
    expectConnectionsLost(run);
  });
});

const isScaledOutHere = inject('kafkaBrokers') !== '' && inject('influxdbUrl') !== '';

describe.skipIf(!isScaledOutHere)('on Kafka and InfluxDB, a gateway, two processors and an API', () => {
  test('a fleet and a recording end with equal aggregates', async () => {
    const { settings } = await ScaledOutRoles.start(inject('kafkaBrokers'), inject('influxdbUrl'));
    await expectPass(simulate(settings, '--devices', '50', '--rate', '1000', '--duration', '6s'));
    await expectPass(simulate(settings, '--replay', 'nab', '--rate', '3000'));
  });

  test('kill -9 of the gateway under load loses nothing that was acknowledged', async () => {
    const roles = await ScaledOutRoles.start(inject('kafkaBrokers'), inject('influxdbUrl'));
    const run = simulate(roles.settings, '--devices', '50', '--rate', '1000', '--duration', '15s');
    for (const ms of KILLS_AFTER_MS) {
      await untilUnderLoad(run);
      await delay(ms);
      await roles.killGateway();
      await roles.startGateway();
    }
    await expectPass(run);
    expectConnectionsLost(run);
  });

  test.each(['kafka', 'influxdb'] as const)(
    '20 s without %s under load cost nothing but time',
    async (name) => {
      const service = new OwnService(
        name,
        `${inject('servicesFolder')}/${name}-${Math.random().toString(36).slice(2)}`,
      );
      const address = service.start();
      const isKafka = name === 'kafka';
      const brokers = isKafka ? address : inject('kafkaBrokers');
      const { settings } = await ScaledOutRoles.start(brokers, isKafka ? inject('influxdbUrl') : address);
      const run = simulate(settings, '--devices', '50', '--rate', '500', '--duration', '35s');
      await untilUnderLoad(run);
      service.stop();
      await delay(20_000);
      service.start();
      await expectPass(run);
    },
  );
});
