import { encodeDistribution } from '../distribution-codec.ts';
import type { WindowAggregate } from '../metric-store.ts';

/** Consecutive rows as one request body. */
export interface LineBatch {
  /** Index of the first row, and of the one after the last. */
  readonly from: number;
  readonly to: number;
  readonly body: Buffer;
}

/**
 * Encodes admitted rows as line protocol for `precision=u`, one batch at a time, each of at most `maxBytes` unless
 * a single line is longer.
 */
export function* encodeBatches(rows: readonly WindowAggregate[], maxBytes: number): Generator<LineBatch> {
  let from = 0;
  let text = '';
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at];
    if (row === undefined) break;
    const line = encodeLine(row);
    if (text.length > 0 && text.length + line.length > maxBytes) {
      yield { from, to: at, body: Buffer.from(text) };
      from = at;
      text = '';
    }
    text += line;
  }
  if (text.length > 0) yield { from, to: rows.length, body: Buffer.from(text) };
}

/**
 * One row as one line, with its line feed. Every field is always there: InfluxDB replaces a point field by field.
 * The pane becomes microseconds after the window's start.
 */
export function encodeLine(row: WindowAggregate): string {
  const { aggregate } = row;
  const distribution = encodeDistribution(aggregate.distribution).toString('base64');
  return (
    `${escapeMeasurement(row.metric)},device=${escapeTag(row.deviceId)} count=${aggregate.count}i` +
    `,sum=${float(aggregate.sum)},min=${float(aggregate.min)},max=${float(aggregate.max)}` +
    `,first=${float(aggregate.first)},first_at=${aggregate.firstAt}i` +
    `,last=${float(aggregate.last)},last_at=${aggregate.lastAt}i` +
    `,m2=${float(aggregate.m2)},distribution="${distribution}" ${row.windowStart * 1_000 + row.pane}\n`
  );
}

/** The shortest digits that read back as the same double; JavaScript would drop the sign of -0. */
function float(value: number): string {
  return Object.is(value, -0) ? '-0' : `${value}`;
}

// Backslashes and control characters never get here (`row-admission.ts`): what precedes a separator would be read
// as escaping it, and a line feed would start another line.
function escapeMeasurement(metric: string): string {
  return /[, ]/.test(metric) ? metric.replace(/[, ]/g, '\\$&') : metric;
}

function escapeTag(deviceId: string): string {
  return /[, =]/.test(deviceId) ? deviceId.replace(/[, =]/g, '\\$&') : deviceId;
}
