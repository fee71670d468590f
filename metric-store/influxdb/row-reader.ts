import { NO_DISTRIBUTION } from '../distribution.ts';
import { decodeDistribution } from '../distribution-codec.ts';
import { MetricStoreSchemaError } from '../errors.ts';
import type { Selection, WindowAggregate } from '../metric-store.ts';
import { isStorable } from '../row-admission.ts';
import { alignRange, type BucketCount, cutIntoSlices, type Slice } from '../slices.ts';
import { formatDuration, quoteName, quoteText } from './influxql.ts';
import type { QueryClient, QuerySeries } from './query-client.ts';
import { policyName } from './schema.ts';

/** Rows that one answer may have. */
const MAX_ROWS_PER_SLICE = 10_000;

/**
 * Devices that are asked for at once. InfluxDB spends most of a query on setting up each series, so it is cheaper
 * to ask for few devices over a long time than for many over a short one.
 */
const MAX_DEVICES_PER_QUERY = 100;

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
  const devices = selection.devices ?? (await listDevices(client, database, metric));
  const range = alignRange(from, to, resolutionMs);
  for (const condition of conditionsOf(devices)) {
    const source =
      `FROM ${quoteName(database)}.${quoteName(policyName(resolutionMs))}.${quoteName(metric)} ` +
      `WHERE (${condition})`;
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
    conditions.push(part.map((device) => `"device" = ${quoteText(device)}`).join(' OR '));
  }
  return conditions;
}

/** A slice in microseconds. No pane reaches past the end of its window. */
function within({ from, to }: Slice): string {
  return `AND time >= ${from}000u AND time < ${to}000u`;
}

async function countRows(
  client: QueryClient,
  source: string,
  slice: Slice,
  widthMs: number,
): Promise<BucketCount[]> {
  const [series] = await client.query(
    `SELECT count("count") ${source} ${within(slice)} GROUP BY time(${formatDuration(widthMs)}) fill(none)`,
  );
  return (series?.values ?? []).map(([time, rows]) => ({ start: Number(time) / 1_000, rows: Number(rows) }));
}

async function readSlice(
  client: QueryClient,
  source: string,
  slice: Slice,
  selection: Selection,
): Promise<WindowAggregate[]> {
  const fields = selection.distributions ? [...FIELDS, 'device', 'distribution'] : [...FIELDS, 'device'];
  const answer = await client.query(`SELECT ${fields.map(quoteName).join(', ')} ${source} ${within(slice)}`);
  return answer.flatMap((series) => series.values.map((values) => rowOf(values, series, selection)));
}

/** Columns are the time, then `FIELDS`, the device and the distribution. */
function rowOf(values: readonly unknown[], series: QuerySeries, selection: Selection): WindowAggregate {
  const { metric, resolutionMs } = selection;
  const number = (column: number): number => {
    const value = values[column];
    if (typeof value === 'number') return value;
    throw new MetricStoreSchemaError(`a row of "${metric}" has no number in "${series.columns[column]}"`);
  };
  const time = number(0);
  const windowStart = Math.floor(time / (resolutionMs * 1_000)) * resolutionMs;
  const count = number(1);
  const min = number(3);
  const max = number(4);
  const bytes = selection.distributions ? Buffer.from(String(values[11] ?? ''), 'base64') : undefined;
  const aggregate = {
    count,
    sum: number(2),
    min,
    max,
    first: number(5),
    firstAt: number(6),
    last: number(7),
    lastAt: number(8),
    m2: number(9),
    distribution: bytes === undefined ? NO_DISTRIBUTION : decodeDistribution(bytes, { count, min, max }),
  };
  const deviceId = String(values[10]);
  return { deviceId, metric, resolutionMs, windowStart, pane: time - windowStart * 1_000, aggregate };
}
