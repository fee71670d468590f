/**
 * What bounds a fold. It shapes the output like the rest of the configuration; other than that it can be changed
 * between two records, when both sides of the change are kept apart by a checkpoint.
 */
export interface FoldBudgets {
  /**
   * Open aggregates per partition, all resolutions together. A message that would open more closes late panes early;
   * when that is not enough, it is quarantined, and those that add to open aggregates go on.
   */
  readonly maxOpenAggregates: number;
  /** Devices remembered per partition; a message of a further one is quarantined. */
  readonly maxDevices: number;
}

/** What shapes the fold's output. A different configuration is a different fold. */
export interface FoldConfig extends FoldBudgets {
  /** Window sizes, ms, finest first; each a multiple of the one before. At least one. */
  readonly windowsMs: readonly number[];
  /** How far the watermark stays behind log time, ms. */
  readonly graceMs: number;
  /** Event time further than this ahead of log time is quarantined, ms. */
  readonly maxAheadMs: number;
  /** Event time further than this behind log time is quarantined, ms. */
  readonly maxAgeMs: number;
}

/**
 * Pane numbers of one resolution that lateness alone can give, so that a pane closed early for the k-th time has the number
 * n + k * stride, unlike any other.
 */
export function paneStrideOf({ maxAgeMs, graceMs, windowsMs }: FoldConfig, sizeMs: number): number {
  const coarsest = windowsMs.at(-1) ?? sizeMs;
  return Math.ceil((maxAgeMs + graceMs + 2 * coarsest) / sizeMs) + 2;
}

/** How often late panes of a window of log time can be closed early: a pane's number stays below its window's microseconds. */
export function maxForcedCloses(config: FoldConfig, sizeMs: number): number {
  return Math.floor((sizeMs * 1_000) / paneStrideOf(config, sizeMs)) - 1;
}

/** A device is forgotten once its latest message is this old: a repetition of it would be too old as well. */
export function forgetAfterMs({ maxAgeMs, maxAheadMs }: FoldConfig): number {
  return maxAgeMs + maxAheadMs;
}

/** Names the parts of the configuration on which the content of panes depends, and which a state cannot do without. */
export function foldFingerprint({ windowsMs, graceMs, maxAheadMs, maxAgeMs }: FoldConfig): string {
  return `windows=${windowsMs.join(',')} grace=${graceMs} maxAhead=${maxAheadMs} maxAge=${maxAgeMs}`;
}
