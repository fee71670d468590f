import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, describe, expect, inject, test } from 'vitest';
import {
  choosePorts,
  expectPass,
  freePort,
  kill,
  type Settings,
  type SluiceProcess,
  scaledOut,
  settingsOf,
  simulate,
  startSluice,
  untilReady,
  untilUnderLoad,
} from './pipeline.fixture.ts';

const PARTITIONS = 12;
const PATIENCE = { timeout: 40_000, interval: 200 };
const STEP_MS = 1_500;
const LOAD = ['--devices', '50', '--rate', '500'];

/** A processor of the group, a process of its own. */
class Member {
  readonly process: SluiceProcess;
  readonly #port: number;

  private constructor(process: SluiceProcess, port: number) {
    this.process = process;
    this.#port = port;
  }

  static async start(settings: Settings): Promise<Member> {
    const port = await freePort();
    const member = new Member(
      startSluice(['processor'], { ...settings, SLUICE_OPERATIONS_PORT: `${port}` }),
      port,
    );
    await untilReady(member.process, port);
    return member;
  }

  /** The partitions that it owns. */
  async partitions(): Promise<number[]> {
    const metrics = await this.#metrics();
    return [...metrics.matchAll(/^sluice_processor_open_aggregates\{partition="(\d+)"\}/gm)].map(([, n]) =>
      Number(n),
    );
  }

  async readings(): Promise<number> {
    const [, readings] = /^sluice_processor_readings_total (\d+)/m.exec(await this.#metrics()) ?? [];
    return Number(readings);
  }

  /** Whether any partition was taken over in mid-stream, from a checkpoint. */
  get hasGoneOn(): boolean {
    return /"offset":"[1-9]\d*","msg":"partition assigned"/.test(this.process.output());
  }

  async leave(): Promise<void> {
    this.process.child.kill('SIGTERM');
    expect(await this.process.ended, this.process.output()).toBe(0);
  }

  async #metrics(): Promise<string> {
    const signal = AbortSignal.timeout(5_000);
    return (await fetch(`http://127.0.0.1:${this.#port}/metrics`, { signal })).text();
  }
}

async function partitionsOf(members: readonly Member[]): Promise<number> {
  const owned = await Promise.all(members.map((member) => member.partitions()));
  return new Set(owned.flat()).size;
}

const isScaledOutHere = inject('kafkaBrokers') !== '' && inject('influxdbUrl') !== '';

describe.skipIf(!isScaledOutHere)('a group of processors under load', () => {
  let settings: Settings;

  beforeEach(async () => {
    const ports = await choosePorts();
    settings = {
      ...settingsOf(ports, scaledOut(inject('kafkaBrokers'), inject('influxdbUrl'))),
      SLUICE_EVENT_LOG_PARTITIONS: `${PARTITIONS}`,
      SLUICE_PROCESSOR_CHECKPOINT_INTERVAL: '500ms',
    };
    await untilReady(startSluice(['api'], settings), ports.api);
    const gateway = startSluice(['gateway'], { ...settings, SLUICE_OPERATIONS_PORT: `${ports.gateway}` });
    await untilReady(gateway, ports.gateway);
  });

  function startMembers(count: number): Promise<Member[]> {
    return Promise.all(Array.from({ length: count }, () => Member.start(settings)));
  }

  test('counts every reading once while members join, leave and are killed', async () => {
    const present = await startMembers(3);
    const all = [...present];
    const steps = {
      join: async () => {
        const member = await Member.start(settings);
        present.push(member);
        all.push(member);
      },
      leave: async () => present.shift()?.leave(),
      die: async () => {
        const member = present.shift();
        if (member !== undefined) await kill(member.process);
      },
    };
    const run = simulate(settings, ...LOAD, '--duration', '30s');
    await untilUnderLoad(run);
    for (const step of ['join', 'die', 'join', 'leave', 'leave', 'join', 'die', 'join'] as const) {
      await delay(STEP_MS);
      await steps[step]();
    }
    await expectPass(run);
    await expect.poll(() => partitionsOf(present), PATIENCE).toBe(PARTITIONS);
    expect(all.slice(3).every((member) => member.hasGoneOn)).toBe(true);
  });

  test('takes back a member that was suspended until its partitions had moved, and is not harmed by it', async () => {
    const [victim, ...others] = await startMembers(3);
    if (victim === undefined) return;
    const run = simulate(settings, ...LOAD, '--duration', '120s');
    await untilUnderLoad(run);
    await expect.poll(() => victim.partitions(), PATIENCE).toHaveLength(PARTITIONS / 3);
    victim.process.child.kill('SIGSTOP');
    await expect.poll(() => partitionsOf(others), PATIENCE).toBe(PARTITIONS);
    victim.process.child.kill('SIGCONT');
    const before = await victim.readings();
    await expect.poll(() => victim.partitions(), PATIENCE).toHaveLength(PARTITIONS / 3);
    await expect.poll(() => victim.readings(), PATIENCE).toBeGreaterThan(before);
    run.child.kill('SIGINT');
    await expectPass(run);
  });
});
