import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { configSchema } from './config/schema.ts';
import { openPipeline, ROLES } from './pipeline.ts';

const OPERATIONS = readFileSync('OPERATIONS.md', 'utf8');
const namesIn = (pattern: RegExp) => [...OPERATIONS.matchAll(pattern)].map(([, name]) => name);

test('OPERATIONS.md lists every metric of the pipeline with its help text, and no other', async () => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'sluice-operations-'));
  onTestFinished(() => rm(dataFolder, { recursive: true }));
  const config = configSchema.parse({ dataFolder, gateway: { port: 0 }, api: { port: 0 } });
  const pipeline = await openPipeline(config, ROLES, pino({ level: 'silent' }));
  onTestFinished(() => pipeline.close());
  const text = await (await fetch(`${pipeline.httpUrl}/metrics`)).text();
  const helps = [...text.matchAll(/^# HELP (sluice_\S+) (.*?)\.?$/gm)].map(
    ([, name, help]) => `| \`${name}\` | ${help} |`,
  );
  const rows = OPERATIONS.split('\n').filter((line) => line.startsWith('| `sluice_'));
  expect(rows).toEqual(helps.sort());
});

test('OPERATIONS.md lists every error code, whether it is retryable, and no other', async () => {
  const declared = new Map<string, string>();
  for (const path of sources()) {
    const source = readFileSync(path, 'utf8');
    for (const [, code, retryable] of source.matchAll(
      /readonly code = '([A-Z_0-9]+)';\s+(?:\/\*\*[^/]*\*\/\s+)?readonly retryable(?: = (true|false)|: boolean;)/g,
    )) {
      declared.set(code ?? '', retryable === undefined ? 'depends' : retryable === 'true' ? 'yes' : 'no');
    }
  }
  const listed = new Map(
    [...OPERATIONS.matchAll(/^\| `([A-Z_0-9]+)` \| (yes|no|depends) \|/gm)].map(
      ([, code = '', retryable = '']) => [code, retryable],
    ),
  );
  expect([...listed].sort()).toEqual([...declared].sort());
  expect(namesIn(/^\| `([A-Z_0-9]+)` \|/gm)).toHaveLength(listed.size);
});

function sources(): string[] {
  return readdirSync('.')
    .filter((name) => !['node_modules', 'dist', '.git'].includes(name))
    .flatMap((name) => (name.endsWith('.ts') ? [name] : filesBelow(name)));
}

function filesBelow(name: string): string[] {
  try {
    return readdirSync(name, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => join(name, path));
  } catch {
    return [];
  }
}
