/**
 * Where a reading belongs. All times are ms since the epoch; windows are tumbling, aligned to the epoch, [start, end).
 *
 * Pane 0 of a window holds the readings that arrived before the watermark passed its end. A later reading does not
 * reopen it: it opens the window's pane n, where n is how many windows the watermark is past the end, and which closes
 * together with the window that the watermark is in. So at any instant a series has at most one open pane per
 * window, and no pane is ever emitted twice with different content.
 */
export interface PanePosition {
  readonly windowStart: number;
  readonly pane: number;
  /** The pane is complete once the watermark reaches this. */
  readonly closesAt: number;
}

/** Start of the window that contains a time. Exact for negative times too. */
export function windowStartOf(timestamp: number, sizeMs: number): number {
  return Math.floor(timestamp / sizeMs) * sizeMs;
}

/** The pane that a reading of this event time belongs to when it is read at this watermark. */
export function panePositionOf(timestamp: number, watermark: number, sizeMs: number): PanePosition {
  const windowStart = windowStartOf(timestamp, sizeMs);
  const end = windowStart + sizeMs;
  if (end > watermark) return { windowStart, pane: 0, closesAt: end };
  const closesAt = windowStartOf(watermark, sizeMs) + sizeMs;
  return { windowStart, pane: (closesAt - end) / sizeMs, closesAt };
}
