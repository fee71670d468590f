import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from './pipeline.fixture.ts';
import { createReplayCommand, describeProgress } from './processors/replay/replay-command.ts';
import type { ReplayPlan } from './processors/replay/replay-plan.ts';
import { createVerifyCommand } from './processors/verify/verify-command.ts';
import type { VerifyResult } from './processors/verify/verify-result.ts';
import { parseInstant } from './query/instant.ts';

const RANGE = ['--from', '2026-01-31T12:00:00Z', '--to', '2026-01-31T13:00:00Z'];
const FROM = Date.parse('2026-01-31T12:00:00Z');

const RESULT: VerifyResult = {
  from: FROM,
  to: FROM + 3_600_000,
  outcome: 'different',
  records: 1_234,
  messages: { accepted: 1_010, aggregated: 1_000, duplicates: 7, quarantined: 3 },
  payloads: { accepted: 990, quarantined: 2 },
  windows: [{ resolutionMs: 10_000, compared: 360, open: 2, expired: 0 }],
  missingInput: [{ topic: 'sluice.telemetry', partition: 3, kind: 'gap', from: 10n, to: 12n }],
  withoutCheckpoint: [5],
  differences: {
    total: 41,
    listed: [
      {
        kind: 'differing row',
        deviceId: 'boiler-7',
        metric: 'temperature',
        resolutionMs: 10_000,
        windowStart: FROM,
        fields: [{ field: 'count', expected: 5, seen: 4 }],
      },
    ],
  },
};

afterEach(() => {
  process.exitCode = undefined;
});

interface Printed {
  readonly code: typeof process.exitCode;
  readonly text: string;
}

async function verifying(
  outcome: () => Promise<VerifyResult>,
  ...options: readonly string[]
): Promise<Printed> {
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  const command = createVerifyCommand({
    write,
    isTerminal: false,
    parseInstant,
    verify: outcome,
    fail: (error) => write(String(error)),
  });
  await command.parseAsync([...RANGE, ...options], { from: 'user' });
  return { code: process.exitCode, text };
}

describe('sluice verify', () => {
  test.each([
    ['equal', 0],
    ['different', 1],
    ['unverifiable', 2],
  ] as const)('ends with the code of an outcome that is %s', async (outcome, code) => {
    expect((await verifying(async () => ({ ...RESULT, outcome }))).code).toBe(code);
  });

  test('prints the balance, what was not compared, and every difference with its place', async () => {
    const { text } = await verifying(async () => RESULT);
    for (const line of [
      /^messages +1,010 accepted = 1,000 aggregated \+ 7 duplicate \+ 3 quarantined/m,
      /^windows of 10s +360 compared; not compared: 2 open$/m,
      /^missing input +sluice.telemetry partition 3: offsets 10 to 11 are not there$/m,
      /^note +partition 5 has no checkpoint/m,
      /^differences +41, the first 1:$/m,
      /^ +differing row: device boiler-7, metric temperature, window of 10s from 2026-01-31T12:00:00Z: count expected 5, seen 4$/m,
      /^verdict +DIFFERENT$/m,
    ])
      expect(text).toMatch(line);
  });

  test('writes the result to a file', async () => {
    const file = join(await temporaryFolder(), 'result.json');
    await verifying(async () => RESULT, '--json', file);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      outcome: 'different',
      missingInput: [{ from: '10', to: '12' }],
    });
  });

  test('ends with code 2 when it cannot verify', async () => {
    const { code, text } = await verifying(() => Promise.reject(new Error('the store is away')));
    expect([code, text]).toEqual([2, 'Error: the store is away']);
  });
});

const PLAN: ReplayPlan = {
  startLogTime: FROM - 3_722_000,
  ranges: [{ partition: 0, from: 0n, to: 500n }],
  resumed: [],
  records: 500,
};
const REPLAYED = {
  records: 500,
  rows: 90,
  rowsRefused: 1,
  open: 2,
  closedEarly: 3,
  refused: 4,
  readmitted: 5,
};

interface Surroundings {
  readonly answer?: boolean;
  readonly failure?: Error;
  readonly isInterrupted?: boolean;
}

async function replaying(surroundings: Surroundings, ...options: readonly string[]): Promise<Printed> {
  const { answer, failure, isInterrupted = false } = surroundings;
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  const command = createReplayCommand({
    write,
    isTerminal: false,
    parseInstant,
    ask: answer === undefined ? undefined : async () => answer,
    isInterrupted: () => isInterrupted,
    fail: (error) => write(String(error)),
    replay: async ({ confirm }) => {
      if (!(await confirm(PLAN))) return undefined;
      if (failure !== undefined) throw failure;
      return REPLAYED;
    },
  });
  await command.parseAsync([...RANGE, ...options], { from: 'user' });
  return { code: process.exitCode, text };
}

describe('sluice replay', () => {
  test('writes nothing unless it is confirmed', async () => {
    expect(await replaying({})).toMatchObject({ code: 2, text: expect.stringContaining('--yes') });
    expect(await replaying({ answer: false })).toMatchObject({ code: 2 });
    expect(await replaying({ answer: true })).toMatchObject({ code: 0 });
  });

  test('tells what it wrote, what it left, and how to check it', async () => {
    const { code, text } = await replaying({}, '--yes');
    expect(code).toBe(0);
    for (const line of [
      '500 records to fold, from 2026-01-31T10:57:58Z on',
      '90 rows written',
      '2 aggregates are still open',
      '1 rows were refused by the store',
      '3 panes were closed early',
      '4 messages were refused',
      '5 messages were counted that are in quarantine',
      'sluice verify --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z',
    ])
      expect(text).toContain(line);
  });

  test('ends with code 1 when it was interrupted, with 2 when it cannot replay', async () => {
    const failure = new Error('stopped');
    expect(await replaying({ failure, isInterrupted: true }, '--yes')).toMatchObject({
      code: 1,
      text: expect.stringContaining('the same command goes on'),
    });
    expect(await replaying({ failure }, '--yes')).toMatchObject({
      code: 2,
      text: expect.stringMatching(/stopped$/),
    });
  });

  test('estimates the time that is left from what is done', () => {
    expect(describeProgress(undefined, 100)).toBe('waiting for the log');
    expect(describeProgress({ done: 2_000, total: 10_000 }, 5_000)).toBe(
      '2,000 of 10,000 records folded, about 20 s left',
    );
  });
});
