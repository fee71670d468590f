/** Part of a time range, [from, to) in ms. */
export interface Slice {
  readonly from: number;
  readonly to: number;
}

/** How many rows there are from `start`, a multiple of the bucket width, to the next multiple. */
export interface BucketCount {
  readonly start: number;
  readonly rows: number;
}

export interface SliceOptions {
  /** Window size, ms. */
  readonly resolutionMs: number;
  /** Slices hold at most this many rows, unless one window alone has more. */
  readonly maxRows: number;
  /** Counts the rows of a slice per bucket of `widthMs`; ascending, empty buckets may be left out. */
  readonly countRows: (slice: Slice, widthMs: number) => Promise<readonly BucketCount[]>;
}

const BUCKETS = 256;

/**
 * Cuts a time range into slices that can each be read in one bounded answer: counts the rows in coarse buckets,
 * joins small neighbours and looks closer at buckets that are too full. Slices ascend; ranges without rows are
 * left out.
 */
export async function* cutIntoSlices(range: Slice, options: SliceOptions): AsyncGenerator<Slice> {
  const { resolutionMs, maxRows, countRows } = options;
  const windows = Math.ceil((range.to - range.from) / resolutionMs);
  if (windows <= 0) return;
  if (windows === 1) {
    yield range;
    return;
  }
  const widthMs = Math.ceil(windows / BUCKETS) * resolutionMs;
  let pending: (Slice & { readonly rows: number }) | undefined;
  for (const { start, rows } of await countRows(range, widthMs)) {
    const from = Math.max(start, range.from);
    const to = Math.min(start + widthMs, range.to);
    if (pending !== undefined && pending.rows + rows > maxRows) {
      yield pending;
      pending = undefined;
    }
    if (rows > maxRows && widthMs > resolutionMs) yield* cutIntoSlices({ from, to }, options);
    else if (rows > 0) pending = { from: pending?.from ?? from, to, rows: rows + (pending?.rows ?? 0) };
  }
  if (pending !== undefined) yield pending;
}

/**
 * The range of window starts that a selection means: whole windows, cut off where no store has rows.
 */
export function alignRange(from: number, to: number, resolutionMs: number): Slice {
  const align = (time: number) => Math.ceil(clamp(time) / resolutionMs) * resolutionMs;
  return { from: align(from), to: align(to) };
}

/** Beyond the last window start that stores admit, in ms. */
const END_OF_TIME = 9_000_100_000_000;

function clamp(time: number): number {
  return Math.min(Math.max(time, 0), END_OF_TIME);
}
