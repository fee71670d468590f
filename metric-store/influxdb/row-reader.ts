import { setTimeout as sleep } from 'node:timers/promises';
import { NO_DISTRIBUTION } from '../distribution.ts';
import { decodeDistribution } from '../distribution-codec.ts';
import { MetricStoreSchemaError } from '../errors.ts';
import type { Selection, WindowAggregate } from '../metric-store.ts';
import { isStorable } from '../row-admission.ts';
import { alignRange, type BucketCount, cutIntoSlices, type Slice } from '../slices.ts';
import { formatDuration, quoteName, quoteText } from './influxql.ts';
import type { QueryClient } from './query-client.ts';
import { policyName } from './schema.ts';

/** Rows that one answer may have. */
const MAX_ROWS_PER_SLICE = 10_000;

/**
 * Devices that are asked for at once. InfluxDB spends most of a query on setting up each series, so it is cheaper
 * to ask for few devices over a long time than for many over a short one.
 */
const MAX_DEVICES_PER_QUERY = 100;

/** Together well over a second, which no point takes to be written. */
const MAX_ATTEMPTS = 15;
const ATTEMPT_PAUSE_MS = 10;

const FIELDS = ['count', 'sum', 'min', 'max', 'first', 'first_at', 'last', 'last_at', 'm2'] as const;

/** Reads a selection; every answer is bounded. Rows that are written meanwhile may or may not be among them. */
export async function* readRows(
  client: QueryClient,
  database: string,
  selection: Selection,
): AsyncGenerator<readonly WindowAggregate[]> {
  const { metric, from, to, resolutionMs } = selection;
  // What was never stored cannot be found, and some of it cannot be spelled in InfluxQL.
  if (!isStorable(metric)) return;
  const range = alignRange(from, to, resolutionMs);
  const windows = (range.to - range.from) / resolutionMs;
  for (const devices of await groupDevices(client, database, selection, windows)) {
    const source =
      `FROM ${quoteName(database)}.${quoteName(policyName(resolutionMs))}.${quoteName(metric)} ` +
      `WHERE ${devices}`;
    const slices = cutIntoSlices(range, {
      resolutionMs,
      maxRows: MAX_ROWS_PER_SLICE,
      countRows: (slice, widthMs) => countRows(client, source, slice, widthMs),
    });
    for await (const slice of slices) {
      const rows = await readSlice(client, source, slice, selection);
      if (rows.length > 0) yield rows;
    }
  }
}

/** Conditions that together select the devices, each to be followed by one on the time. */
async function groupDevices(
  client: QueryClient,
  database: string,
  selection: Selection,
  windows: number,
): Promise<string[]> {
  if (selection.devices !== undefined) return conditionsOf(selection.devices);
  const devices = await listDevices(client, database, selection.metric);
  return devices.length * windows <= MAX_ROWS_PER_SLICE ? [''] : conditionsOf(devices);
}

async function listDevices(client: QueryClient, database: string, metric: string): Promise<string[]> {
  const answer = await client.query(
    `SHOW TAG VALUES ON ${quoteName(database)} FROM ${quoteName(metric)} WITH KEY = "device"`,
  );
  return answer.flatMap(({ values }) => values.map(([, device]) => String(device)));
}

function conditionsOf(devices: readonly string[]): string[] {
  const distinct = [...new Set(devices)].filter(isStorable);
  const conditions: string[] = [];
  for (let from = 0; from < distinct.length; from += MAX_DEVICES_PER_QUERY) {
    const part = distinct.slice(from, from + MAX_DEVICES_PER_QUERY);
    conditions.push(`(${part.map((device) => `"device" = ${quoteText(device)}`).join(' OR ')}) AND `);
  }
  return conditions;
}

/** A slice in microseconds. No pane reaches past the end of its window. */
function within({ from, to }: Slice): string {
  return `time >= ${from}000u AND time < ${to}000u`;
}

async function countRows(
  client: QueryClient,
  source: string,
  slice: Slice,
  widthMs: number,
): Promise<BucketCount[]> {
  const [series] = await client.query(
    `SELECT count("count") ${source}${within(slice)} GROUP BY time(${formatDuration(widthMs)}) fill(none)`,
  );
  return (series?.values ?? []).map(([time, rows]) => ({ start: Number(time) / 1_000, rows: Number(rows) }));
}

/**
 * InfluxDB looks at the fields of a point one after the other, so a point that is being written meanwhile can lack
 * some of them: then the slice is read again.
 */
async function readSlice(
  client: QueryClient,
  source: string,
  slice: Slice,
  selection: Selection,
): Promise<WindowAggregate[]> {
  const fields = selection.distributions ? [...FIELDS, 'device', 'distribution'] : [...FIELDS, 'device'];
  const statement = `SELECT ${fields.map(quoteName).join(', ')} ${source}${within(slice)}`;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const answer = await client.query(statement);
    const points = answer.flatMap(({ values }) => values);
    if (points.every((values) => !values.includes(null))) {
      return points.map((values) => rowOf(values, selection));
    }
    await sleep(ATTEMPT_PAUSE_MS * attempt);
  }
  throw new MetricStoreSchemaError(`points of "${selection.metric}" lack fields: something else wrote them`);
}

/** Columns are the time, then `FIELDS`, the device and the distribution. */
function rowOf(
  values: readonly unknown[],
  { metric, resolutionMs, distributions }: Selection,
): WindowAggregate {
  const [time, count, sum, min, max, first, firstAt, last, lastAt, m2] = values.map(Number);
  if (time === undefined || count === undefined || min === undefined || max === undefined)
    throw unreadable(metric);
  if (sum === undefined || first === undefined || firstAt === undefined) throw unreadable(metric);
  if (last === undefined || lastAt === undefined || m2 === undefined) throw unreadable(metric);
  const bytes = distributions ? Buffer.from(String(values[11]), 'base64') : undefined;
  const distribution = bytes === undefined ? NO_DISTRIBUTION : decodeDistribution(bytes, { count, min, max });
  const windowStart = Math.floor(time / (resolutionMs * 1_000)) * resolutionMs;
  return {
    deviceId: String(values[10]),
    metric,
    resolutionMs,
    windowStart,
    pane: time - windowStart * 1_000,
    aggregate: { count, sum, min, max, first, firstAt, last, lastAt, m2, distribution },
  };
}

function unreadable(metric: string): MetricStoreSchemaError {
  return new MetricStoreSchemaError(`a point of "${metric}" has too few columns`);
}
