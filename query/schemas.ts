import { PROBLEM_TYPE } from './problem.ts';

/** JSON schemas of what the API answers, as far as they are not made from the parameters. */

const time = { type: 'integer', description: 'Ms since the epoch.' };

const bucket = {
  type: 'object',
  properties: { start: time },
  required: ['start'],
  additionalProperties: { type: 'number', description: 'The figure of that name.' },
};

const series = {
  type: 'object',
  properties: {
    deviceId: { type: ['string', 'null'], description: 'Null when the devices are merged.' },
    buckets: { type: 'array', items: bucket, description: 'Ordered by start; empty buckets are left out.' },
  },
  required: ['deviceId', 'buckets'],
  additionalProperties: false,
};

const segment = {
  type: 'object',
  properties: {
    resolutionMs: { type: 'integer', description: 'Size of the stored windows, ms.' },
    from: { ...time, description: 'Inclusive, ms since the epoch.' },
    to: { ...time, description: 'Exclusive, ms since the epoch.' },
  },
  required: ['resolutionMs', 'from', 'to'],
  additionalProperties: false,
};

const queryResult = {
  type: 'object',
  properties: {
    metric: { type: 'string' },
    resolutionMs: {
      type: 'integer',
      description: 'Size of the largest stored windows that were merged, ms.',
    },
    resolutions: {
      type: 'array',
      items: segment,
      description: 'Which windows answered which part of the range, in order of time.',
    },
    from: { ...time, description: 'Start of the range used, inclusive, ms since the epoch.' },
    to: { ...time, description: 'End of the range used, exclusive, ms since the epoch.' },
    completeFrom: {
      ...time,
      description:
        'From here on the range is complete: `from`, or later where older windows are not kept any more.',
    },
    everyMs: {
      type: ['integer', 'null'],
      description: 'Bucket size, ms; null when the range is one bucket.',
    },
    groupBy: { type: 'string', enum: ['device', 'none'] },
    aggs: { type: 'array', items: { type: 'string' } },
    series: { type: 'array', items: series, description: 'Ordered by device.' },
  },
  required: [
    'metric',
    'resolutionMs',
    'resolutions',
    'from',
    'to',
    'completeFrom',
    'everyMs',
    'groupBy',
    'aggs',
    'series',
  ],
  additionalProperties: false,
};

const device = {
  type: 'object',
  properties: { deviceId: { type: 'string' }, metrics: { type: 'array', items: { type: 'string' } } },
  required: ['deviceId', 'metrics'],
  additionalProperties: false,
};

const metric = {
  type: 'object',
  properties: {
    metric: { type: 'string' },
    devices: { type: 'integer', description: 'Number of devices that have it.' },
  },
  required: ['metric', 'devices'],
  additionalProperties: false,
};

const check = {
  type: 'object',
  properties: { name: { type: 'string' }, ok: { type: 'boolean' }, reason: { type: 'string' } },
  required: ['name', 'ok'],
  additionalProperties: false,
};

const health = {
  type: 'object',
  properties: { ok: { type: 'boolean' }, checks: { type: 'array', items: check } },
  required: ['ok', 'checks'],
  additionalProperties: false,
};

const problem = {
  type: 'object',
  description: 'Problem details, RFC 9457.',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    parameter: { type: 'string' },
    value: { type: 'string', description: 'The value seen.' },
    expected: { type: 'string' },
  },
  required: ['type', 'title', 'status', 'detail'],
  additionalProperties: false,
};

function answer(description: string, contentType: string, schema: Readonly<Record<string, unknown>>) {
  return { description, content: { [contentType]: { schema } } };
}

const textAnswer = (description: string) => answer(description, 'text/plain', { type: 'string' });
const jsonAnswer = (description: string, schema: Readonly<Record<string, unknown>>) =>
  answer(description, 'application/json', schema);
const problemAnswer = (description: string) => answer(description, PROBLEM_TYPE, problem);

const badRequest = problemAnswer('A parameter is unknown or malformed.');
const unavailable = problemAnswer('The store is unavailable, the deadline passed, or too many queries run.');

export const QUERY_ANSWERS = {
  200: {
    description: 'The result, as asked for by format.',
    content: {
      'application/json': { schema: queryResult },
      'text/csv': {
        schema: { type: 'string', description: 'device,start and the figures, a line per bucket.' },
      },
    },
  },
  400: badRequest,
  422: problemAnswer('The query would return or hold too much.'),
  503: unavailable,
};

export const DEVICES_ANSWERS = {
  200: jsonAnswer('Devices in order of their id.', {
    type: 'object',
    properties: {
      devices: { type: 'array', items: device },
      next: { type: ['string', 'null'], description: 'The `after` of the next page; null on the last.' },
    },
    required: ['devices', 'next'],
    additionalProperties: false,
  }),
  400: badRequest,
  503: unavailable,
};

export const METRICS_ANSWERS = {
  200: jsonAnswer('Metrics in order of their name.', {
    type: 'object',
    properties: { metrics: { type: 'array', items: metric } },
    required: ['metrics'],
    additionalProperties: false,
  }),
  400: badRequest,
  503: unavailable,
};

export const OPENAPI_ANSWERS = {
  200: jsonAnswer('This description.', { type: 'object', additionalProperties: true }),
};

export const INDEX_ANSWERS = { 200: textAnswer('The addresses of this API.') };

export const LIVE_ANSWERS = {
  200: jsonAnswer('The process answers.', {
    type: 'object',
    properties: { ok: { type: 'boolean' } },
    required: ['ok'],
    additionalProperties: false,
  }),
};

export const READY_ANSWERS = {
  200: jsonAnswer('Everything that is needed works.', health),
  503: jsonAnswer('Something that is needed does not work: see the checks that are not ok.', health),
};

export const PROMETHEUS_ANSWERS = { 200: textAnswer('Counters in the text format of Prometheus.') };
