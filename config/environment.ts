import { z } from 'zod';
import { configSchema } from './schema.ts';

/** One setting: a leaf of the configuration. */
export interface Setting {
  /** Keys from the top, as in `eventLog.brokers`. */
  readonly path: readonly string[];
  readonly description: string;
  /** JSON text of the default; undefined where there is none. */
  readonly defaultValue: string | undefined;
  /** Only with this `kind` of its section. */
  readonly onlyFor: string | undefined;
}

/** A `SLUICE_…` variable that overrides a setting. */
export interface EnvironmentVariable {
  readonly name: string;
  readonly path: readonly string[];
  /** The text as the schema's input; what cannot be read stays text, for the schema to refuse by name. */
  parse(text: string): unknown;
}

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly oneOf?: readonly JsonSchema[];
}

interface Leaf extends Setting {
  readonly type: string | undefined;
}

/** Every setting, in the order of the schema; a setting shared by several kinds appears once. */
export function settings(): readonly Setting[] {
  return leaves().map(({ path, description, defaultValue, onlyFor }) => ({
    path,
    description,
    defaultValue,
    onlyFor,
  }));
}

export function environmentVariables(): readonly EnvironmentVariable[] {
  return leaves().map(({ path, type }) => ({ name: variableName(path), path, parse: parserOf(type) }));
}

/** `eventLog.appendTimeout` is overridden by `SLUICE_EVENT_LOG_APPEND_TIMEOUT`. */
export function variableName(path: readonly string[]): string {
  return `SLUICE_${path.map((key) => key.replace(/[A-Z]/g, '_$&').toUpperCase()).join('_')}`;
}

function leaves(): Leaf[] {
  const byPath = new Map<string, Leaf>();
  const schema: JsonSchema = z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema;
  collect(schema, [], undefined, byPath);
  return [...byPath.values()];
}

function collect(
  schema: JsonSchema,
  path: readonly string[],
  onlyFor: string | undefined,
  found: Map<string, Leaf>,
): void {
  if (schema.oneOf !== undefined) {
    collectKinds(schema.oneOf, schema.default, path, found);
    return;
  }
  if (schema.properties !== undefined) {
    for (const [key, child] of Object.entries(schema.properties))
      collect(child, [...path, key], onlyFor, found);
    return;
  }
  const defaultValue = schema.default === undefined ? undefined : JSON.stringify(schema.default);
  found.set(path.join('.'), {
    path,
    description: schema.description ?? '',
    defaultValue,
    onlyFor,
    type: schema.type,
  });
}

function collectKinds(
  kinds: readonly JsonSchema[],
  sectionDefault: unknown,
  path: readonly string[],
  found: Map<string, Leaf>,
): void {
  const names = kinds.map((kind) => String(kind.properties?.kind?.const));
  const description = kinds
    .map((kind, at) => `\`${names[at]}\`: ${kind.properties?.kind?.description ?? ''}`)
    .join(' ');
  const defaultKind = (sectionDefault as { kind?: string } | undefined)?.kind;
  found.set([...path, 'kind'].join('.'), {
    path: [...path, 'kind'],
    description,
    defaultValue: JSON.stringify(defaultKind),
    onlyFor: undefined,
    type: 'string',
  });
  for (const kind of kinds) {
    for (const [key, child] of Object.entries(kind.properties ?? {})) {
      const isShared = kinds.every(({ properties }) => properties?.[key] !== undefined);
      if (key !== 'kind')
        collect(child, [...path, key], isShared ? undefined : String(kind.properties?.kind?.const), found);
    }
  }
}

function parserOf(type: string | undefined): (text: string) => unknown {
  switch (type) {
    case 'integer':
    case 'number':
      return (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text);
    case 'boolean':
      return (text) => (text === 'true' ? true : text === 'false' ? false : text);
    case 'array':
      return (text) => text.split(',').map((part) => part.trim());
    default:
      return (text) => text;
  }
}
