import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { environmentVariables, settings, variableName } from './config/environment.ts';
import { ConfigError, loadConfig } from './config.ts';

const TESTDATA = 'config/testdata';

function problemsOf(load: () => unknown): readonly string[] {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

function temporaryFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  writeFileSync(path, text);
  return path;
}

describe('a file with a fault is refused by name', () => {
  const faults = readdirSync(TESTDATA).filter((name) => name.endsWith('.bad.yaml'));
  test.each(faults.filter((name) => name !== 'not-yaml.bad.yaml'))('%s', (name) => {
    const path = join(TESTDATA, name);
    const expected = readFileSync(path.replace('.yaml', '.txt'), 'utf8').trimEnd().replaceAll('FILE', path);
    expect(problemsOf(() => loadConfig(path, {}))).toEqual([expected]);
  });

  test('not-yaml.bad.yaml', () => {
    const path = join(TESTDATA, 'not-yaml.bad.yaml');
    expect(problemsOf(() => loadConfig(path, {}))[0]).toMatch(/not-yaml.bad.yaml: .*line 2/s);
  });
});

test.each(readdirSync(TESTDATA).filter((name) => name.endsWith('.good.yaml')))('%s is accepted', (name) => {
  expect(problemsOf(() => loadConfig(join(TESTDATA, name), {}))).toEqual([]);
});

test('without a file and variables the embedded engines are used', () => {
  const { config, sources } = loadConfig(undefined, {});
  expect([config.eventLog.kind, config.metricStore.kind]).toEqual(['embedded', 'embedded']);
  expect(config.processor.windows).toEqual([10_000, 60_000, 3_600_000]);
  expect(sources).toEqual([]);
});

test('a file that was asked for has to exist', () => {
  expect(problemsOf(() => loadConfig('nowhere.yaml', {}))).toEqual(['nowhere.yaml: no such file']);
  expect(problemsOf(() => loadConfig(undefined, { SLUICE_CONFIG: 'nowhere.yaml' }))).toEqual([
    'nowhere.yaml: no such file',
  ]);
});

describe('variables', () => {
  test('override the file', () => {
    const path = join(TESTDATA, 'scaled-out.good.yaml');
    const { config } = loadConfig(path, { SLUICE_GATEWAY_PORT: '0', SLUICE_EVENT_LOG_BROKERS: 'a:1, b:2' });
    expect(config.gateway).toMatchObject({ host: '0.0.0.0', port: 0 });
    expect(config.eventLog).toMatchObject({ brokers: ['a:1', 'b:2'] });
  });

  test('that are unknown are refused by name', () => {
    expect(problemsOf(() => loadConfig(undefined, { SLUICE_GATEWAY_PROT: '1' }))).toEqual([
      'SLUICE_GATEWAY_PROT: no such setting; `sluice config list` lists them',
    ]);
  });

  test('that are malformed are refused by name', () => {
    expect(problemsOf(() => loadConfig(undefined, { SLUICE_GATEWAY_PORT: 'x' }))).toEqual([
      'gateway.port (SLUICE_GATEWAY_PORT): expected number, received string; got "x"',
    ]);
  });

  test('have distinct names, one per setting', () => {
    const names = environmentVariables().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('SLUICE_EVENT_LOG_SASL_PASSWORD');
    expect(variableName(['eventLog', 'appendTimeout'])).toBe('SLUICE_EVENT_LOG_APPEND_TIMEOUT');
  });
});

test('a secret is read from the file that the configuration names', () => {
  const passwordFile = temporaryFile('hunter2\n');
  const file = temporaryFile(
    `metricStore: {kind: influxdb, url: 'http://h:1', passwordFile: ${passwordFile}}`,
  );
  expect(loadConfig(file, {}).config.metricStore).toMatchObject({ password: 'hunter2' });
});

test('the configuration reference lists every setting with its variable and default, and nothing else', () => {
  const rows = readFileSync('CONFIGURATION.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(rows).toEqual(
    settings().map(({ path, defaultValue, onlyFor, description }) => {
      const key = path.join('.');
      const only = onlyFor === undefined ? '' : `Only for \`${onlyFor}\`. `;
      return `| \`${key}\` | \`${variableName(path)}\` | ${defaultValue === undefined ? '' : `\`${defaultValue}\``} | ${only}${description} |`;
    }),
  );
});
