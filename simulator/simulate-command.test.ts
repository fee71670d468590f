import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestPipeline } from './pipeline.fixture.ts';
import { createSimulateCommand } from './simulate-command.ts';

let pipeline: TestPipeline;
let folder: string;

beforeEach(async () => {
  pipeline = await TestPipeline.open();
  folder = await mkdtemp(join(tmpdir(), 'sluice-simulate-'));
});

afterEach(async () => {
  process.exitCode = undefined;
  await pipeline.close();
  await rm(folder, { recursive: true });
});

/** Runs the command as a process would, and gives what it wrote and its exit code. */
async function run(...args: string[]): Promise<{ code: unknown; written: string; complaint: string }> {
  let written = '';
  let complaint = '';
  const command = createSimulateCommand({
    isTerminal: false,
    write: (text) => {
      written += text;
    },
    defaults: () => ({ mqttUrl: pipeline.broker.url, apiUrl: pipeline.apiUrl }),
  });
  command.exitOverride();
  command.configureOutput({
    writeErr: (text) => {
      complaint += text;
    },
  });
  process.exitCode = undefined;
  try {
    await command.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { code: error.exitCode, written, complaint };
  }
  return { code: process.exitCode, written, complaint };
}

const short = ['--devices', '4', '--rate', '80', '--duration', '500ms', '--settle-timeout', '1ms'];

describe('sluice simulate', () => {
  it('sends to the configured pipeline, prints a verdict, writes it as JSON, and ends with 0', async () => {
    const file = join(folder, 'verdict.json');
    const { code, written } = await run(...short, '--qos', '2', '--run-id', 'x', '--json', file);
    expect(written).toMatch(/^run x: 40 messages from 4 device\(s\)\n/);
    expect(written).toMatch(
      /aggregates +16 compared .* 0 messages missing, 0 counted twice, 0 aggregates differ/,
    );
    expect(written).toMatch(/verdict +PASS\n$/);
    expect(code).toBe(0);
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      version: 1,
      ok: true,
      run: { runId: 'x', qos: 2 },
      messages: { acknowledged: 40 },
    });
  });

  it('replays the bundled recording by name', async () => {
    const { code, written } = await run(
      '--replay',
      'nab',
      '--rate',
      '20000',
      '--batch',
      '500',
      '--settle-timeout',
      '1ms',
    );
    expect(written).toMatch(/against file +\d+ hours and 7,267 windows compared: 0 differ/);
    expect(code).toBe(0);
  });

  it('ends with 1 when the pipeline lost something', async () => {
    pipeline.tamper = (readings) => readings.slice(4);
    const { code, written } = await run(...short);
    expect(written).toContain('FAIL: acknowledged messages missing from the aggregates: 1');
    expect(code).toBe(1);
  });

  it.each([
    [['--qos', '3'], 'expected 0, 1 or 2'],
    [['--duration', '5'], 'expected a time such as'],
    [['--rate', 'fast'], 'expected a number'],
    [['--devices', '0'], 'devices is 0, expected a whole number from 1 to 100000'],
    [['--profile', 'toaster'], 'Allowed choices are thermostat, machine, mixed'],
    [['--replay', 'nab', '--devices', '5'], 'cannot be used with option'],
    [['--replay', 'no-such.csv'], 'cannot replay no-such.csv'],
    [['--url', 'mqtt://127.0.0.1:9'], 'devices cannot connect to mqtt://127.0.0.1:9'],
  ])('%j ends with a reason and without a verdict', async (args, reason) => {
    const { code, written, complaint } = await run(...args);
    expect(complaint).toContain(reason);
    expect(code).toBeGreaterThan(0);
    expect(written).not.toContain('verdict');
  });
});
