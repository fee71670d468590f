import { existsSync, readFileSync } from 'node:fs';
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { type EnvironmentVariable, environmentVariables } from './config/environment.ts';
import { brokenRules, type Config, configSchema, SECRET_KEYS } from './config/schema.ts';

export const DEFAULT_CONFIG_FILE = 'sluice.yaml';

export interface LoadedConfig {
  readonly config: Config;
  /** What was read, for the log: a file name, variables, or nothing. */
  readonly sources: readonly string[];
}

/** The configuration cannot be used; the message lists every problem with key, value seen and what was expected. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID';
  readonly retryable = false;
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads `sluice.yaml` (or the file asked for, which must then exist), lays `SLUICE_…` variables over it, and
 * validates the result. Throws `ConfigError`. Secrets come from variables or from the files that `…File` keys name.
 */
export function loadConfig(file: string | undefined, environment: NodeJS.ProcessEnv): LoadedConfig {
  const path = file ?? environment.SLUICE_CONFIG ?? DEFAULT_CONFIG_FILE;
  const isAskedFor = path !== DEFAULT_CONFIG_FILE || file !== undefined;
  if (!existsSync(path)) {
    if (isAskedFor) throw new ConfigError([`${path}: no such file`]);
    return { ...withEnvironment(undefined, environment) };
  }
  return withEnvironment(readDocument(path), environment);
}

interface ConfigDocument {
  readonly path: string;
  readonly values: Record<string, unknown>;
  /** The line of a key, counted from 1. */
  lineOf(keys: readonly PropertyKey[]): number | undefined;
}

function readDocument(path: string): ConfigDocument {
  const lines = new LineCounter();
  const document = parseDocument(readFileSync(path, 'utf8'), { lineCounter: lines });
  if (document.errors.length > 0)
    throw new ConfigError(document.errors.map(({ message }) => `${path}: ${message}`));
  const values: unknown = document.toJS() ?? {};
  if (!isRecord(values))
    throw new ConfigError([`${path}: expected a mapping of keys, got ${JSON.stringify(values)}`]);
  for (const [secret, instead] of Object.entries(SECRET_KEYS)) {
    if (valueAt(values, secret.split('.')) === undefined) continue;
    const { name } = environmentVariables().find(({ path: keys }) => keys.join('.') === secret) ?? {
      name: 'SLUICE_…',
    };
    throw new ConfigError([
      `${path}: ${secret} is a secret and may not stand here; set ${name}, or ${instead} to a file`,
    ]);
  }
  return { path, values, lineOf: (keys) => lineOfKey(document, lines, keys) };
}

function lineOfKey(
  document: ReturnType<typeof parseDocument>,
  lines: LineCounter,
  keys: readonly PropertyKey[],
): number | undefined {
  for (let length = keys.length; length > 0; length--) {
    const node: unknown = document.getIn(keys.slice(0, length), true);
    if (isRecord(node) && Array.isArray(node.range)) return lines.linePos(Number(node.range[0])).line;
  }
  return undefined;
}

function withEnvironment(document: ConfigDocument | undefined, environment: NodeJS.ProcessEnv): LoadedConfig {
  const known = environmentVariables();
  const overrides = known.filter(({ name }) => environment[name] !== undefined);
  refuseUnknownVariables(known, environment);
  const values = structuredClone(document?.values ?? {});
  for (const variable of overrides)
    setAt(values, variable.path, variable.parse(environment[variable.name] ?? ''));
  for (const section of [values.eventLog, values.metricStore])
    if (isRecord(section)) section.kind ??= 'embedded';

  const parsed = configSchema.safeParse(values);
  if (!parsed.success) {
    throw new ConfigError(
      parsed.error.issues.flatMap((issue) => describeIssue(issue, values, document, overrides)),
    );
  }
  const config = withSecretsFromFiles(parsed.data);
  const broken = brokenRules(config);
  if (broken.length > 0) throw new ConfigError(broken);
  const sources = [...(document === undefined ? [] : [document.path]), ...overrides.map(({ name }) => name)];
  return { config, sources };
}

function refuseUnknownVariables(known: readonly EnvironmentVariable[], environment: NodeJS.ProcessEnv): void {
  const names = new Set(['SLUICE_CONFIG', ...known.map(({ name }) => name)]);
  const unknown = Object.keys(environment).filter((name) => name.startsWith('SLUICE_') && !names.has(name));
  if (unknown.length > 0) {
    throw new ConfigError(
      unknown.map((name) => `${name}: no such setting; \`sluice config list\` lists them`),
    );
  }
}

function describeIssue(
  issue: z.core.$ZodIssue,
  values: Record<string, unknown>,
  document: ConfigDocument | undefined,
  overrides: readonly EnvironmentVariable[],
): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${place([...issue.path, key], document, overrides)}: no such key`);
  }
  const seen = valueAt(values, issue.path);
  const expected =
    issue.code === 'invalid_union'
      ? issue.message.replace('Invalid discriminator value. E', 'e')
      : issue.message;
  const got = seen === undefined ? 'it is missing' : `got ${JSON.stringify(seen)}`;
  return [`${place(issue.path, document, overrides)}: ${expected.replace('Invalid input: ', '')}; ${got}`];
}

/** Names a key and where its value came from. */
function place(
  keys: readonly PropertyKey[],
  document: ConfigDocument | undefined,
  overrides: readonly EnvironmentVariable[],
): string {
  const key = keys.map(String).join('.');
  const variable = overrides.find(
    ({ path }) => key === path.join('.') || key.startsWith(`${path.join('.')}.`),
  );
  if (variable !== undefined) return `${key} (${variable.name})`;
  const line = document?.lineOf(keys);
  return document === undefined || line === undefined ? key : `${key} (${document.path}:${line})`;
}

function withSecretsFromFiles(config: Config): Config {
  const { eventLog, metricStore } = config;
  const resolved = structuredClone(config);
  if (eventLog.kind === 'kafka' && eventLog.sasl !== undefined && resolved.eventLog.kind === 'kafka') {
    const password =
      eventLog.sasl.password ?? readSecret('eventLog.sasl.passwordFile', eventLog.sasl.passwordFile);
    if (password === undefined)
      throw new ConfigError(['eventLog.sasl: neither a password nor a passwordFile is given']);
    resolved.eventLog.sasl = { ...eventLog.sasl, password };
  }
  if (metricStore.kind === 'influxdb' && resolved.metricStore.kind === 'influxdb') {
    const password = metricStore.password ?? readSecret('metricStore.passwordFile', metricStore.passwordFile);
    if (password !== undefined) resolved.metricStore.password = password;
  }
  return resolved;
}

function readSecret(key: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (cause) {
    throw new ConfigError([
      `${key}: cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
    ]);
  }
}

function isRecord(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function valueAt(values: unknown, keys: readonly PropertyKey[]): unknown {
  let value = values;
  for (const key of keys) {
    if (Array.isArray(value)) value = value[Number(key)];
    else if (isRecord(value)) value = value[key];
    else return undefined;
  }
  return value;
}

function setAt(values: Record<PropertyKey, unknown>, keys: readonly string[], value: unknown): void {
  const [key, ...rest] = keys;
  if (key === undefined) return;
  if (rest.length === 0) {
    values[key] = value;
    return;
  }
  const child = isRecord(values[key]) ? values[key] : {};
  values[key] = child;
  setAt(child, rest, value);
}
