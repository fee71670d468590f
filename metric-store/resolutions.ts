import { MetricStoreSchemaError } from './errors.ts';

/** A window size that a store keeps. */
export interface Resolution {
  /** Window size, ms. */
  readonly resolutionMs: number;
  /** Rows whose window started longer ago than this are deleted, ms. Absent: rows are kept for ever. */
  readonly retentionMs?: number;
}

/** Throws a `RangeError` naming the first resolution that no store can be opened with. */
export function checkResolutions(resolutions: readonly Resolution[]): void {
  if (resolutions.length === 0) throw new RangeError('a metric store needs at least one resolution');
  const seen = new Set<number>();
  for (const { resolutionMs, retentionMs } of resolutions) {
    if (!Number.isSafeInteger(resolutionMs) || resolutionMs <= 0) {
      throw new RangeError(`a resolution of ${resolutionMs} ms is not a positive number of ms`);
    }
    if (retentionMs !== undefined && !(Number.isSafeInteger(retentionMs) && retentionMs >= resolutionMs)) {
      throw new RangeError(`a retention of ${retentionMs} ms does not hold one window of ${resolutionMs} ms`);
    }
    if (seen.has(resolutionMs)) throw new RangeError(`the resolution ${resolutionMs} ms is given twice`);
    seen.add(resolutionMs);
  }
}

/** Throws `MetricStoreSchemaError` for a resolution that the store was not opened with. */
export function requireResolution(resolutions: readonly Resolution[], resolutionMs: number): void {
  if (resolutions.some((kept) => kept.resolutionMs === resolutionMs)) return;
  const kept = resolutions.map((resolution) => `${resolution.resolutionMs}`).join(', ');
  throw new MetricStoreSchemaError(`the store keeps windows of ${kept} ms, not of ${resolutionMs} ms`);
}
