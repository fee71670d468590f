import type { MetricStore, Selection, WindowAggregate } from '../metric-store/metric-store.ts';
import { QueryTooLargeError } from './errors.ts';

/** A slice of a selection aims at this many rows, so that at most about as many are held. */
const ROWS_PER_SLICE = 20_000;

/** One window is never cut; all its rows are held at once. */
const MAX_ROWS_PER_WINDOW = 500_000;

/** Windows of the first slice when nothing is known about the number of devices. */
const FIRST_WINDOWS = 1_024;

export interface RowLimits {
  readonly rowsPerSlice: number;
  readonly maxRowsPerWindow: number;
}

/**
 * The rows of a selection ordered by window start, device, pane, in whatever order the store yields them. Reads
 * the range in slices of whole windows, shorter where there are many rows, so that a few slices' worth of rows is
 * never exceeded in memory. Rejects with `QueryTooLargeError` when a single window has too many rows.
 */
export async function* readOrdered(
  store: MetricStore,
  selection: Selection,
  limits: RowLimits = { rowsPerSlice: ROWS_PER_SLICE, maxRowsPerWindow: MAX_ROWS_PER_WINDOW },
): AsyncGenerator<readonly WindowAggregate[]> {
  const { resolutionMs, to } = selection;
  let windows = firstWindows(selection, limits);
  for (let from = selection.from; from < to; ) {
    const end = Math.min(to, from + windows * resolutionMs);
    const single = end - from <= resolutionMs;
    const limit = single ? limits.maxRowsPerWindow : limits.rowsPerSlice;
    const rows = await readAtMost(store, { ...selection, from, to: end }, limit);
    if (rows === undefined) {
      if (single) throw tooManyRows(selection, from, limit);
      windows = Math.max(1, Math.floor(Math.min(windows, (end - from) / resolutionMs) / 8));
      continue;
    }
    rows.sort(compareRows);
    yield rows;
    if (rows.length < limits.rowsPerSlice / 4) windows *= 4;
    from = end;
  }
}

function firstWindows(selection: Selection, limits: RowLimits): number {
  if (selection.devices === undefined) return FIRST_WINDOWS;
  return Math.max(1, Math.floor(limits.rowsPerSlice / 2 / Math.max(1, selection.devices.length)));
}

/** All rows of the selection, or undefined when there are more than `limit`. */
async function readAtMost(
  store: MetricStore,
  selection: Selection,
  limit: number,
): Promise<WindowAggregate[] | undefined> {
  const rows: WindowAggregate[] = [];
  for await (const chunk of store.read(selection)) {
    if (rows.length + chunk.length > limit) return undefined;
    for (const row of chunk) rows.push(row);
  }
  return rows;
}

function tooManyRows(selection: Selection, start: number, limit: number): QueryTooLargeError {
  return new QueryTooLargeError(
    `the window of ${selection.metric} that starts at ${new Date(start).toISOString()} has more than ${limit} rows; name fewer devices`,
  );
}

function compareRows(a: WindowAggregate, b: WindowAggregate): number {
  return a.windowStart - b.windowStart || compareText(a.deviceId, b.deviceId) || a.pane - b.pane;
}

/** By UTF-16 code units: the same on every machine, unlike a locale's order. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
