import type { Series } from '../metric-store/metric-store.ts';
import { compareText } from './ordered-rows.ts';
import { type Parameter, ParameterReader, type RawParameters } from './parameters.ts';

const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;

const limit: Parameter<number> = {
  name: 'limit',
  description: `Most devices to list. Default ${DEFAULT_LIMIT}.`,
  expected: `a whole number from 1 to ${MAX_LIMIT}`,
  repeatable: false,
  schema: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT },
  parse: (text) => (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= MAX_LIMIT ? Number(text) : undefined),
};

const after: Parameter<string> = {
  name: 'after',
  description: 'List devices after this one: the `next` of the page before.',
  expected: 'the id of a device',
  repeatable: false,
  schema: { type: 'string' },
  parse: (text) => (text.length > 0 ? text : undefined),
};

export const DEVICES_PARAMETERS: readonly Parameter<unknown>[] = [limit, after];

export interface DevicePage {
  readonly devices: readonly { readonly deviceId: string; readonly metrics: readonly string[] }[];
  /** The `after` of the next page; null on the last. */
  readonly next: string | null;
}

export interface MetricListing {
  readonly metrics: readonly { readonly metric: string; readonly devices: number }[];
}

/** Reads what page of devices a request asks for. Throws `ParameterError`. */
export function readDevicePage(raw: RawParameters): { readonly limit: number; readonly after: string } {
  const reader = new ParameterReader(raw, DEVICES_PARAMETERS);
  return { limit: reader.one(limit) ?? DEFAULT_LIMIT, after: reader.one(after) ?? '' };
}

/** One page of devices in order of their id, each with its metrics in order. */
export function listDevices(
  series: readonly Series[],
  page: { readonly limit: number; readonly after: string },
): DevicePage {
  const metrics = new Map<string, string[]>();
  for (const { deviceId, metric } of series) {
    const present = metrics.get(deviceId);
    if (present === undefined) metrics.set(deviceId, [metric]);
    else present.push(metric);
  }
  const ids = [...metrics.keys()].filter((deviceId) => deviceId > page.after).sort(compareText);
  const listed = ids.slice(0, page.limit);
  return {
    devices: listed.map((deviceId) => ({
      deviceId,
      metrics: metrics.get(deviceId)?.sort(compareText) ?? [],
    })),
    next: ids.length > listed.length ? (listed.at(-1) ?? null) : null,
  };
}

/** Every metric in order of its name, with the number of devices that have it. */
export function listMetrics(series: readonly Series[]): MetricListing {
  const devices = new Map<string, number>();
  for (const { metric } of series) devices.set(metric, (devices.get(metric) ?? 0) + 1);
  return {
    metrics: [...devices]
      .sort(([a], [b]) => compareText(a, b))
      .map(([metric, count]) => ({ metric, devices: count })),
  };
}
