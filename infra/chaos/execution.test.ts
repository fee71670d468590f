import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { executePlan } from './execution.ts';
import type { Fault } from './fault.ts';
import type { Victim } from './victim.ts';

const NEVER = new AbortController().signal;

/** A process that is only spoken of: what happens to it is written down. */
function createVictim(name: string, happened: string[], overrides: Partial<Victim> = {}): Victim {
  const enter = async (what: string) => void happened.push(`${what} ${name}`);
  return {
    name,
    starts: 1,
    start: () => enter('start'),
    kill: () => enter('kill'),
    stop: () => enter('stop'),
    suspend: () => happened.push(`suspend ${name}`),
    resume: () => happened.push(`resume ${name}`),
    ...overrides,
  };
}

function kill(target: string, atMs: number, durationMs = 1): Fault {
  return { kind: 'kill-gateway', target, atMs, durationMs };
}

function execute(faults: readonly Fault[], victims: readonly Victim[], signal = NEVER) {
  return executePlan(faults, {
    targets: { victims: new Map(victims.map((victim) => [victim.name, victim])), links: new Map() },
    nextCaughtUp: async () => performance.now(),
    say: () => {},
    signal,
  });
}

test('what happened is told in the order of the plan', async () => {
  const happened: string[] = [];
  const outcomes = await execute(
    [kill('a', 0), kill('b', 30)],
    [createVictim('a', happened), createVictim('b', happened)],
  );
  expect(happened).toEqual(['kill a', 'start a', 'kill b', 'start b']);
  expect(outcomes).toMatchObject([
    { fault: { target: 'a' }, error: null },
    { fault: { target: 'b' }, error: null },
  ]);
});

test('what does not come back suffers no more, and the run ends', async () => {
  const happened: string[] = [];
  const lost = createVictim('a', happened, { start: () => Promise.reject(new Error('is not ready')) });
  const outcomes = await execute(
    [kill('a', 0), kill('a', 10), kill('b', 20), kill('a', 30)],
    [lost, createVictim('b', happened)],
  );
  expect(happened).toEqual(['kill a', 'kill b', 'start b']);
  expect(outcomes.map(({ fault, error }) => [fault.target, error])).toEqual([
    ['a', 'is not ready'],
    ['b', null],
  ]);
});

test('a fault that cannot be brought about ends the run once nothing is under way', async () => {
  const happened: string[] = [];
  const slow = createVictim('a', happened, {
    async start(signal) {
      while (!signal.aborted) await delay(5);
      await delay(50);
      happened.push('gave up starting a');
    },
  });
  const immortal = createVictim('b', happened, { kill: () => Promise.reject(new Error('cannot be killed')) });
  const executed = execute([kill('a', 0), kill('b', 50), kill('a', 60_000)], [slow, immortal]);
  await expect(executed).rejects.toThrow('cannot be killed');
  expect(happened).toEqual(['kill a', 'gave up starting a']);
});
