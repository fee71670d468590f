import type { QueryResult } from './query.ts';

/** A query's result as CSV (RFC 4180): one line per bucket, times in ISO 8601 UTC, no device when merged. */
export function toCsv(result: QueryResult): string {
  const lines = [['device', 'start', ...result.aggs]];
  for (const { deviceId, buckets } of result.series) {
    for (const bucket of buckets) {
      const figures = result.aggs.map((agg) => String(bucket[agg]));
      lines.push([deviceId ?? '', new Date(bucket.start).toISOString(), ...figures]);
    }
  }
  return lines.map((fields) => `${fields.map(quote).join(',')}\r\n`).join('');
}

function quote(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
