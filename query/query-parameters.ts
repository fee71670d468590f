import { AGG_EXPECTED, type Agg, parseAgg } from './agg.ts';
import { DURATION_EXPECTED, DurationError, parseDuration } from './duration.ts';
import { ParameterError } from './errors.ts';
import { INSTANT_EXPECTED, parseInstant } from './instant.ts';
import { type Parameter, ParameterReader, type RawParameters } from './parameters.ts';
import type { GroupBy, Query } from './query.ts';
import { defaultResolution, planRange, type QueriedResolution } from './resolution.ts';

export type Format = 'json' | 'csv';

const DEFAULT_LAST_MS = 3_600_000;
const DEFAULT_AGGS = 'count,mean,min,max';

const metric: Parameter<string> = {
  name: 'metric',
  description: 'The metric to query.',
  expected: 'the name of a metric, 1 to 256 characters',
  repeatable: false,
  schema: { type: 'string', minLength: 1, maxLength: 256 },
  parse: parseName,
};

const device: Parameter<string> = {
  name: 'device',
  description: 'Devices to query: repeated, or separated by commas. All devices unless given.',
  expected: 'the id of a device, 1 to 256 characters',
  repeatable: true,
  schema: { type: 'string', minLength: 1, maxLength: 256 },
  parse: parseName,
};

const agg: Parameter<Agg> = {
  name: 'agg',
  description: `Figures to compute for every bucket: ${AGG_EXPECTED}. Default ${DEFAULT_AGGS}.`,
  expected: AGG_EXPECTED,
  repeatable: true,
  schema: { type: 'string', examples: ['mean', 'p95'] },
  parse: parseAgg,
};

const every: Parameter<number> = {
  name: 'every',
  description:
    'Size of a bucket, a multiple of a stored resolution. Unless given, the whole range is one bucket.',
  expected: DURATION_EXPECTED,
  repeatable: false,
  schema: { type: 'string', examples: ['1m'] },
  parse: tryDuration,
};

const from: Parameter<number> = {
  name: 'from',
  description: `Start of the range, inclusive, floored to the bucket size: ${INSTANT_EXPECTED}.`,
  expected: INSTANT_EXPECTED,
  repeatable: false,
  schema: { type: 'string' },
  parse: parseInstant,
};

const to: Parameter<number> = {
  name: 'to',
  description: 'End of the range, exclusive, ceiled to the bucket size. Default: the time of the request.',
  expected: INSTANT_EXPECTED,
  repeatable: false,
  schema: { type: 'string' },
  parse: parseInstant,
};

const last: Parameter<number> = {
  name: 'last',
  description:
    'Length of a range that ends at the time of the request. Not together with from or to. Default 1h.',
  expected: DURATION_EXPECTED,
  repeatable: false,
  schema: { type: 'string', examples: ['1h'] },
  parse: tryDuration,
};

const groupBy: Parameter<GroupBy> = {
  name: 'groupBy',
  description: 'device: one series per device. none: one series of all devices merged. Default device.',
  expected: 'device or none',
  repeatable: false,
  schema: { type: 'string', enum: ['device', 'none'] },
  parse: (text) => (text === 'device' || text === 'none' ? text : undefined),
};

const resolution: Parameter<number | 'finest'> = {
  name: 'resolution',
  description:
    'Answer from stored windows of this size alone. Unless given, a range of up to 8,640 of the finest windows is answered from those; a longer one from the largest that answer it, and what they do not cover from smaller ones. Readings that came late are in the finest first, in larger ones up to one window later.',
  expected: `finest or ${DURATION_EXPECTED}`,
  repeatable: false,
  schema: { type: 'string', examples: ['finest', '1m'] },
  parse: (text) => (text === 'finest' ? text : tryDuration(text)),
};

const format: Parameter<Format> = {
  name: 'format',
  description: 'Default json.',
  expected: 'json or csv',
  repeatable: false,
  schema: { type: 'string', enum: ['json', 'csv'] },
  parse: (text) => (text === 'json' || text === 'csv' ? text : undefined),
};

export const QUERY_PARAMETERS: readonly Parameter<unknown>[] = [
  metric,
  device,
  agg,
  every,
  from,
  to,
  last,
  groupBy,
  resolution,
  format,
];

export const REQUIRED_QUERY_PARAMETERS: readonly Parameter<unknown>[] = [metric];

/**
 * The query that a request asks for. `now` is ms since the epoch. Throws `ParameterError`.
 */
export function readQuery(
  raw: RawParameters,
  resolutions: readonly QueriedResolution[],
  now: number,
): { readonly query: Query; readonly format: Format } {
  const reader = new ParameterReader(raw, QUERY_PARAMETERS);
  const name = reader.one(metric);
  if (name === undefined) throw new ParameterError(metric.name, undefined, metric.expected);
  const devices = reader.list(device);
  const everyMs = reader.one(every);
  const bucketSize = everyMs === undefined ? {} : { everyMs };
  const range = { ...readRange(reader, now), ...bucketSize, now };
  const asked = reader.one(resolution) ?? defaultResolution(resolutions, range);
  const need = { ...range, ...(asked !== undefined && { resolution: asked }) };
  const query: Query = {
    metric: name,
    aggs: reader.list(agg) ?? DEFAULT_AGGS.split(',').flatMap((known) => parseAgg(known) ?? []),
    groupBy: reader.one(groupBy) ?? 'device',
    ...(devices && { devices }),
    ...bucketSize,
    plan: planRange(resolutions, need),
  };
  return { query, format: reader.one(format) ?? 'json' };
}

function readRange(reader: ParameterReader, now: number): { readonly from: number; readonly to: number } {
  const lastMs = reader.one(last);
  const start = reader.one(from);
  const end = reader.one(to);
  if (lastMs !== undefined) {
    for (const other of [from, to]) {
      const seen = reader.text(other);
      if (seen !== undefined) throw new ParameterError(other.name, seen, 'neither from nor to beside last');
    }
  }
  if (start === undefined && end !== undefined) throw new ParameterError(from.name, undefined, from.expected);
  if (start === undefined) return { from: now - (lastMs ?? DEFAULT_LAST_MS), to: now };
  return { from: start, to: end ?? now };
}

function tryDuration(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch (error) {
    if (error instanceof DurationError) return undefined;
    throw error;
  }
}

/** Any printable text: what stores hold is decided by those who write. */
function parseName(text: string): string | undefined {
  return /^[^\p{Cc},]{1,256}$/u.test(text) ? text : undefined;
}
