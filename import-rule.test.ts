// Holds the import rule, and the rules on length and names, by reading every source file.
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';

/** What code of a folder may import of ours besides its own folder. `''` are the files at the top. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  // gateway -> event-log <- processors -> metric-store <- query
  'event-log': [],
  'metric-store': [],
  gateway: ['event-log'],
  processors: ['event-log', 'metric-store'],
  query: ['metric-store'],
  // Speaks MQTT and HTTP like a stranger; see MAY_IMPORT_TYPES.
  simulator: [],
  infra: [],
  config: ['query', 'processors'],
  '': ['config', 'gateway', 'event-log', 'processors', 'metric-store', 'query', 'simulator'],
};
const MAY_IMPORT_TYPES: Readonly<Record<string, readonly string[]>> = { simulator: ['event-log'] };

/** Tests may open either port's adapters, whatever their folder. Nothing that ships imports test code. */
const TESTS_MAY_IMPORT = ['event-log', 'metric-store'];
/** Names of test code: tests, contracts, and what they share. */
const TEST_CODE =
  /(\.test|\.contract|\.fixture|-fixture|-arbitrar(y|ies)|-oracle)\.ts$|^vitest\.config\.ts$|^infra\/local\/test-services\.ts$/;
/** Programs that measure the whole product, and tests of how it is deployed, see everything. */
const SEES_EVERYTHING = /^infra\/(bench\/|[^/]+\.test\.ts$)/;

/** Each adapter is known to itself and to the one file that chooses among them. */
const ADAPTER = /^(event-log|metric-store)\/[^/]+(?=\/)/;
const CHOOSES_ADAPTERS = 'pipeline.ts';

/** Where code that ships may speak to these libraries. */
const LIBRARY_HOME: Readonly<Record<string, string>> = {
  aedes: 'gateway/',
  kafkajs: 'event-log/kafka/',
  lmdb: 'event-log/embedded/',
  influx: 'metric-store/influxdb/',
  '@duckdb/node-api': 'metric-store/embedded/',
  fastify: 'query/',
};

const MAX_LINES = 399;
/** Words that say nothing about what a file, folder or function is for. */
const EMPTY_WORDS = new Set([
  'util',
  'utils',
  'helper',
  'helpers',
  'common',
  'core',
  'manager',
  'service',
  'data',
  'info',
]);

interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

const { dependencies } = z
  .object({ dependencies: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')));

function importsOf(source: string): Import[] {
  const withNames =
    /^(?:import|export)\s+(?<type>type\s)?(?<names>[^;'"]*?)\s?from\s+'(?<specifier>[^']+)'/gm;
  const without = /^import\s+'(?<specifier>[^']+)'|\bimport\('(?<specifier2>[^']+)'\)/gm;
  const named = [...source.matchAll(withNames)].map(({ groups = {} }) => ({
    specifier: groups.specifier ?? '',
    isTypeOnly: groups.type !== undefined || areAllTypes(groups.names ?? ''),
  }));
  const bare = [...source.matchAll(without)].map(({ groups = {} }) => ({
    specifier: groups.specifier ?? groups.specifier2 ?? '',
    isTypeOnly: false,
  }));
  return [...named, ...bare];
}

function areAllTypes(names: string): boolean {
  const [, list] = /^\{(.*)\}$/s.exec(names.trim()) ?? [];
  const each =
    list
      ?.split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '') ?? [];
  return each.length > 0 && each.every((name) => name.startsWith('type '));
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}

/** What is wrong with one import; `undefined` when it is allowed. */
function problemOf(path: string, { specifier, isTypeOnly }: Import): string | undefined {
  if (!specifier.startsWith('.')) return libraryProblem(path, specifier);
  const target = posix.join(posix.dirname(path), specifier);
  if (SEES_EVERYTHING.test(path)) return undefined;
  const isTest = TEST_CODE.test(path);
  if (TEST_CODE.test(target) && !isTest) return `code that ships imports test code (${target})`;
  if (!mayImportFolder(path, target, isTest, isTypeOnly))
    return `${folderOf(path) || path} may not import ${target}`;
  const [adapter] = ADAPTER.exec(target) ?? [];
  if (adapter === undefined || path.startsWith(`${adapter}/`) || isTest || path === CHOOSES_ADAPTERS)
    return undefined;
  return `only ${CHOOSES_ADAPTERS} may choose ${adapter}`;
}

function mayImportFolder(path: string, target: string, isTest: boolean, isTypeOnly: boolean): boolean {
  const from = folderOf(path);
  const to = folderOf(target);
  if (from === to) return true;
  const allowed = [
    ...(MAY_IMPORT[from] ?? []),
    ...(isTypeOnly ? (MAY_IMPORT_TYPES[from] ?? []) : []),
    ...(isTest ? TESTS_MAY_IMPORT : []),
  ];
  return allowed.includes(to);
}

function libraryProblem(path: string, specifier: string): string | undefined {
  const isForDevelopment = TEST_CODE.test(path) || path.startsWith('infra/');
  if (specifier.startsWith('node:') || isForDevelopment) return undefined;
  if (builtinModules.includes(specifier)) return `${specifier} is written node:${specifier}`;
  const [name = ''] = /^(@[^/]+\/)?[^/]+/.exec(specifier) ?? [];
  if (!(name in dependencies)) return `${name} is not a dependency`;
  const home = LIBRARY_HOME[name];
  return home === undefined || path.startsWith(home) ? undefined : `${name} is for ${home} only`;
}

function importProblems(path: string, source: string): string[] {
  return importsOf(source).flatMap((line) => {
    const problem = problemOf(path, line);
    return problem === undefined ? [] : [`${path}: ${problem}`];
  });
}

function emptyWords(name: string): string[] {
  const words = name
    .replace(/[A-Z]+/g, '-$&')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return words.filter((word) => EMPTY_WORDS.has(word));
}

function nameProblems(path: string, source: string): string[] {
  const functions = [...source.matchAll(/\bfunction\*?\s+(\w+)/g)].map(([, name = '']) => name);
  return [path.replace(/\.ts$/, ''), ...functions]
    .filter((name) => emptyWords(name).length > 0)
    .map((name) => `${path}: ${name} says "${emptyWords(name).join(' ')}", which says nothing`);
}

function readsEnvironment(path: string, source: string): boolean {
  return (
    /\bprocess\.env\b/.test(source) &&
    path.includes('/') &&
    !path.startsWith('infra/') &&
    !TEST_CODE.test(path)
  );
}

function sourceFiles(folder = ''): string[] {
  return readdirSync(new URL(`./${folder}`, import.meta.url), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory()) return isForeign(entry.name) ? [] : sourceFiles(`${path}/`);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

function isForeign(folder: string): boolean {
  return folder.startsWith('.') || folder === 'node_modules' || folder === 'dist';
}

/** Wrong on purpose: the examples below. */
const OWN_NAME = 'import-rule.test.ts';

const sources = sourceFiles().filter((path) => path !== OWN_NAME);
const files = sources.map((path) => ({
  path,
  source: readFileSync(new URL(path, import.meta.url), 'utf8'),
}));

test('every folder has a place in the rule', () => {
  expect(Object.keys(MAY_IMPORT)).toEqual(expect.arrayContaining(files.map(({ path }) => folderOf(path))));
});

test('every import line keeps the rule', () => {
  expect(files.flatMap(({ path, source }) => importProblems(path, source))).toEqual([]);
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const long = files.filter(({ source }) => source.trimEnd().split('\n').length > MAX_LINES);
  expect(long.map(({ path }) => path)).toEqual([]);
});

test('no file, folder or function has a name that says nothing', () => {
  expect(files.flatMap(({ path, source }) => nameProblems(path, source))).toEqual([]);
});

test('the environment is read at the top and nowhere else', () => {
  expect(files.filter(({ path, source }) => readsEnvironment(path, source)).map(({ path }) => path)).toEqual(
    [],
  );
});

test.each([
  ['gateway/a.ts', "import { x } from '../metric-store/x.ts';", 'gateway may not import metric-store/x.ts'],
  ['gateway/a.ts', "import { x } from '../processors/x.ts';", 'gateway may not import processors/x.ts'],
  [
    'event-log/a.ts',
    "import type { X } from '../metric-store/x.ts';",
    'event-log may not import metric-store/x.ts',
  ],
  [
    'metric-store/influxdb/a.ts',
    "import { x } from '../../event-log/x.ts';",
    'metric-store may not import event-log/x.ts',
  ],
  ['query/a.ts', "import {\n  x,\n  y,\n} from '../event-log/x.ts';", 'query may not import event-log/x.ts'],
  ['query/a.ts', "export * from '../gateway/x.ts';", 'query may not import gateway/x.ts'],
  ['query/a.ts', "const x = await import('../gateway/x.ts');", 'query may not import gateway/x.ts'],
  ['query/a.ts', "import '../logging.ts';", 'query may not import logging.ts'],
  [
    'simulator/a.ts',
    "import { type X, y } from '../event-log/x.ts';",
    'simulator may not import event-log/x.ts',
  ],
  ['infra/local/a.ts', "import { x } from '../../config.ts';", 'infra may not import config.ts'],
  ['cli.ts', "import { x } from './infra/local/x.ts';", 'cli.ts may not import infra/local/x.ts'],
  [
    'processors/a.ts',
    "import { x } from '../event-log/kafka/x.ts';",
    'only pipeline.ts may choose event-log/kafka',
  ],
  [
    'event-log/kafka/a.ts',
    "import { x } from '../embedded/x.ts';",
    'only pipeline.ts may choose event-log/embedded',
  ],
  [
    'cli.ts',
    "import { x } from './metric-store/influxdb/x.ts';",
    'only pipeline.ts may choose metric-store/influxdb',
  ],
  ['query/a.ts', "import { x } from './x.test.ts';", 'code that ships imports test code (query/x.test.ts)'],
  ['gateway/a.ts', "import { Kafka } from 'kafkajs';", 'kafkajs is for event-log/kafka/ only'],
  ['query/a.ts', "import { x } from 'fast-check';", 'fast-check is not a dependency'],
  ['query/a.ts', "import { x } from 'fs/promises';", 'fs/promises is written node:fs/promises'],
])('%s with %j is refused', (path, source, problem) => {
  expect(importProblems(path, source)).toEqual([`${path}: ${problem}`]);
});

test.each([
  ['gateway/a.ts', "import { x } from '../event-log/x.ts';"],
  ['simulator/a.ts', "import type { X } from '../event-log/x.ts';"],
  ['simulator/a.ts', "import { type X, type Y } from '../event-log/x.ts';"],
  ['pipeline.ts', "import { x } from './event-log/kafka/x.ts';"],
  ['query/a.test.ts', "import { x } from '../metric-store/embedded/x.ts';"],
  ['gateway/a.integration.test.ts', "import { x } from '../event-log/embedded/x.ts';"],
  ['infra/bench/a.ts', "import { x } from '../../pipeline.ts';"],
  ['event-log/kafka/a.ts', "import { Kafka } from 'kafkajs';"],
  ['event-log/kafka/a.ts', "import { readFile } from 'node:fs/promises';"],
])('%s with %j is allowed', (path, source) => {
  expect(importProblems(path, source)).toEqual([]);
});

test.each(['query/utils.ts', 'query/row-helpers.ts', 'core/x.ts', 'event-log/device-data.ts'])(
  'the name %s is refused',
  (path) => {
    expect(nameProblems(path, '')).toHaveLength(1);
  },
);

test('the name of a function is read word by word', () => {
  expect(nameProblems('query/a.ts', 'function readDeviceInfo() {}')).toHaveLength(1);
  expect(nameProblems('query/a.ts', 'export async function openDatabase() {}')).toEqual([]);
});
