import { fitsCount } from './distribution-codec.ts';
import { RowsRefusedError } from './errors.ts';
import type { WindowAggregate } from './metric-store.ts';
import type { Resolution } from './resolutions.ts';

/** Microseconds of the last window start that is kept; above it a time plus its pane is no safe integer. */
const LAST_WINDOW_START = 9_000_000_000_000;

const MAX_ID_LENGTH = 255;

/** Neither control characters and backslashes nor halves of a surrogate pair survive every store. */
const UNSTORABLE = /[\p{Cc}\p{Cs}\\]/u;

const SYSTEM_MEASUREMENTS: ReadonlySet<string> = new Set(
  ['fieldKeys', 'measurements', 'name', 'series', 'tagKey', 'tagKeys', 'tags'].map((name) => `_${name}`),
);

/** Rows of one write, sorted out before anything is stored. */
export interface Admission {
  readonly admitted: readonly WindowAggregate[];
  /** Index of each admitted row among the written ones; undefined when all were admitted. */
  readonly indexes: readonly number[] | undefined;
  readonly refused: RowsRefusedError['refused'];
}

/**
 * Decides which rows a store with these resolutions can keep at all, so that every adapter refuses the same ones:
 * a resolution it does not keep, a window start off the grid or older than the retention at `now` (ms), a pane that
 * would spill into the next window, ids that cannot be stored, numbers that are not finite.
 */
export function admitRows(
  rows: readonly WindowAggregate[],
  resolutions: readonly Resolution[],
  now: number,
): Admission {
  const oldest = new Map(
    resolutions.map(({ resolutionMs, retentionMs }) => [
      resolutionMs,
      retentionMs === undefined ? 0 : Math.max(0, now - retentionMs),
    ]),
  );
  const refused: { index: number; reason: string }[] = [];
  rows.forEach((row, index) => {
    const reason = refusal(row, oldest.get(row.resolutionMs));
    if (reason !== undefined) refused.push({ index, reason });
  });
  if (refused.length === 0) return { admitted: rows, indexes: undefined, refused };
  const out = new Set(refused.map(({ index }) => index));
  const indexes = rows.map((_, index) => index).filter((index) => !out.has(index));
  return { admitted: rows.filter((_, index) => !out.has(index)), indexes, refused };
}

/** Throws the `RowsRefusedError` of an admission, if any row was refused. */
export function throwRefused(refused: RowsRefusedError['refused']): void {
  if (refused.length > 0) throw new RowsRefusedError([...refused].sort((a, b) => a.index - b.index));
}

function refusal(row: WindowAggregate, oldest: number | undefined): string | undefined {
  const { resolutionMs, windowStart, pane, deviceId, metric } = row;
  if (oldest === undefined) return `windows of ${resolutionMs} ms are not kept`;
  if (!(windowStart >= 0 && windowStart <= LAST_WINDOW_START) || windowStart % resolutionMs !== 0) {
    return `${windowStart} is not the start of a window of ${resolutionMs} ms`;
  }
  if (windowStart < oldest) return `window start ${windowStart} is beyond the retention`;
  if (!(pane >= 0 && pane < resolutionMs * 1_000 && Number.isSafeInteger(pane))) {
    return `pane ${pane} does not fit a window of ${resolutionMs} ms`;
  }
  if (!isStorable(deviceId)) return `device id ${JSON.stringify(deviceId)} cannot be stored`;
  if (!isStorable(metric) || isReserved(metric)) return `metric ${JSON.stringify(metric)} cannot be stored`;
  return aggregateRefusal(row);
}

/** Whether an id can be stored by every adapter; nothing is ever found by another. */
export function isStorable(id: string): boolean {
  return id.length > 0 && id.length <= MAX_ID_LENGTH && !UNSTORABLE.test(id);
}

/** A comment in InfluxDB's line protocol, or one of its own measurements. */
function isReserved(metric: string): boolean {
  return metric.startsWith('#') || SYSTEM_MEASUREMENTS.has(metric);
}

function aggregateRefusal({ aggregate }: WindowAggregate): string | undefined {
  const { count, sum, min, max, first, firstAt, last, lastAt, m2, distribution } = aggregate;
  if (!(Number.isSafeInteger(count) && count > 0)) return `count ${count} is not a positive integer`;
  if (!Number.isSafeInteger(firstAt) || !Number.isSafeInteger(lastAt)) return 'a time is not a number of ms';
  const finite =
    Number.isFinite(sum) &&
    Number.isFinite(min) &&
    Number.isFinite(max) &&
    Number.isFinite(first) &&
    Number.isFinite(last) &&
    Number.isFinite(m2);
  if (!finite) return 'a value is not a finite number';
  if (!fitsCount(distribution, count)) return `the distribution does not hold ${count} values`;
  return undefined;
}
