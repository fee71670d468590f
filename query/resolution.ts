import type { Resolution } from '../metric-store/resolutions.ts';
import { formatDuration } from './duration.ts';
import { ParameterError } from './errors.ts';

/** A stored window size, and from when on its windows can be relied on. */
export interface QueriedResolution extends Resolution {
  /**
   * How long after its end a window may still be missing, or change for readings that came on time, ms. Readings that
   * came late reach a window of this size up to one window after they reached the finest.
   */
  readonly settledMs: number;
}

export interface RangeNeed {
  /** Bucket size, ms; undefined when the whole range is one bucket. */
  readonly everyMs?: number;
  /** Range, ms since the epoch. */
  readonly from: number;
  readonly to: number;
  /** Ms since the epoch. */
  readonly now: number;
  /** Answer from windows of this size alone, settled or not. */
  readonly resolution?: number | 'finest';
}

/** Part of a range, [from, to) in ms since the epoch, whole windows, and the size of the windows that answer it. */
export interface Segment {
  readonly resolutionMs: number;
  readonly from: number;
  readonly to: number;
}

/** How a range is answered. */
export interface RangePlan {
  /** The range that is used, ms since the epoch, [from, to): aligned to the bucket size, else to windows. */
  readonly from: number;
  readonly to: number;
  /** `to` minus what lies before it without a gap: of what is older, not everything is kept any more. */
  readonly completeFrom: number;
  /** The largest windows used; where none are kept, the largest that fit the bucket size. */
  readonly resolutionMs: number;
  /** In order of time, without overlaps. */
  readonly segments: readonly Segment[];
}

/**
 * Time for ticks, folding, writing, and clocks that differ. A window more costs little, covers a processor that lags
 * that long, and shows readings that came up to that late without delay.
 */
const LEAST_MARGIN_MS = 30_000;

/** When the windows of resolutions are settled, `graceMs` being how long the processors keep windows open. */
export function settling(resolutions: readonly Resolution[], graceMs: number): QueriedResolution[] {
  return resolutions.map((stored) => ({
    ...stored,
    settledMs: graceMs + Math.max(stored.resolutionMs, LEAST_MARGIN_MS),
  }));
}

/**
 * Answers a range from the largest windows that answer it exactly: those that divide the bucket size, are kept, and are
 * settled. What they do not cover (unaligned ends, what is not settled, what is not kept) comes from the next smaller
 * ones, and so on; the smallest answer whatever is left, settled or not, so that the newest is always there.
 *
 * Throws `ParameterError` when the range is empty, the bucket size is a multiple of no resolution, or the resolution
 * asked for is not stored or does not divide the bucket size. `resolutions` is not empty.
 */
export function planRange(resolutions: readonly QueriedResolution[], need: RangeNeed): RangePlan {
  if (need.from >= need.to) throw emptyRange(need);
  const chain = chainOf(resolutions, need);
  const [coarsest] = chain;
  if (coarsest === undefined) throw new RangeError('the store has no resolutions');
  const range = { from: alignedStart(chain, need), to: alignedEnd(chain, need) };
  const segments = cover(chain, range, need.now);
  const used = segments.map(({ resolutionMs }) => resolutionMs);
  return {
    ...range,
    completeFrom: completeFrom(segments, range.to),
    resolutionMs: used.length > 0 ? Math.max(...used) : coarsest.resolutionMs,
    segments,
  };
}

/** Windows of the finest size that a range may span and still be answered from them by default: a day of 10 s. */
const FINEST_UP_TO_WINDOWS = 8_640;

/**
 * The resolution to ask for when a request names none. A short range is answered from the finest windows, since readings
 * that come late are there first; undefined leaves a longer one, or one that the finest no longer hold, to `planRange`.
 */
export function defaultResolution(
  resolutions: readonly QueriedResolution[],
  { from, to, everyMs, now }: RangeNeed,
): 'finest' | undefined {
  const [finest] = [...resolutions].sort((a, b) => a.resolutionMs - b.resolutionMs);
  if (finest === undefined) return undefined;
  const { resolutionMs } = finest;
  const isShort = to - from <= FINEST_UP_TO_WINDOWS * resolutionMs;
  const start = floorTo(from, everyMs ?? resolutionMs);
  const fits = everyMs === undefined || everyMs % resolutionMs === 0;
  return isShort && fits && start >= keptSince(finest, now) ? 'finest' : undefined;
}

/** The resolutions that may answer, coarsest first, each a multiple of the next. */
function chainOf(resolutions: readonly QueriedResolution[], need: RangeNeed): QueriedResolution[] {
  const sorted = [...resolutions].sort((a, b) => b.resolutionMs - a.resolutionMs);
  if (need.resolution !== undefined) return [chosen(sorted, need, need.resolution)];
  const chain: QueriedResolution[] = [];
  let multiple = need.everyMs;
  for (const stored of sorted) {
    if (multiple !== undefined && multiple % stored.resolutionMs !== 0) continue;
    chain.push(stored);
    multiple = stored.resolutionMs;
  }
  if (need.everyMs !== undefined && chain.length === 0) throw misfit(need.everyMs, sorted);
  return chain;
}

function chosen(
  sorted: readonly QueriedResolution[],
  { everyMs }: RangeNeed,
  resolution: number | 'finest',
): QueriedResolution {
  const found =
    resolution === 'finest' ? sorted.at(-1) : sorted.find(({ resolutionMs }) => resolutionMs === resolution);
  const asked = typeof resolution === 'number' ? formatDuration(resolution) : resolution;
  if (found === undefined) {
    throw new ParameterError('resolution', asked, `finest or a stored resolution: ${sizesOf(sorted)}`);
  }
  if (everyMs !== undefined && everyMs % found.resolutionMs !== 0) {
    const expected = `a resolution that every, ${formatDuration(everyMs)}, is a multiple of`;
    throw new ParameterError('resolution', formatDuration(found.resolutionMs), expected);
  }
  return found;
}

/** Floored to the bucket size; without one, to the smallest windows that are still kept there. */
function alignedStart(chain: readonly QueriedResolution[], { from, everyMs, now }: RangeNeed): number {
  if (everyMs !== undefined) return floorTo(from, everyMs);
  const starts = chain.map((stored) => ({ stored, start: floorTo(from, stored.resolutionMs) }));
  const kept = starts.findLast(({ stored, start }) => start >= keptSince(stored, now));
  return (kept ?? starts[0])?.start ?? from;
}

/** Ceiled likewise, where the windows that would have to fill up the last coarsest one are kept. */
function alignedEnd(chain: readonly QueriedResolution[], { to, everyMs, now }: RangeNeed): number {
  if (everyMs !== undefined) return ceilTo(to, everyMs);
  const tail = floorTo(to, chain[0]?.resolutionMs ?? 1);
  const kept = chain.findLast((stored) => tail >= keptSince(stored, now)) ?? chain[0];
  return ceilTo(to, kept?.resolutionMs ?? 1);
}

function cover(
  chain: readonly QueriedResolution[],
  { from, to }: Omit<Segment, 'resolutionMs'>,
  now: number,
): Segment[] {
  const [coarsest, ...finer] = chain;
  if (coarsest === undefined || from >= to) return [];
  const { resolutionMs, settledMs } = coarsest;
  const settledTo = finer.length > 0 ? now - settledMs : Number.POSITIVE_INFINITY;
  const start = ceilTo(Math.max(from, keptSince(coarsest, now)), resolutionMs);
  const end = floorTo(Math.min(to, settledTo), resolutionMs);
  if (start >= end) return cover(finer, { from, to }, now);
  return [
    ...cover(finer, { from, to: start }, now),
    { resolutionMs, from: start, to: end },
    ...cover(finer, { from: end, to }, now),
  ];
}

/** Windows that start before this may have been deleted, ms since the epoch. */
function keptSince({ retentionMs }: Resolution, now: number): number {
  return retentionMs === undefined ? Number.NEGATIVE_INFINITY : now - retentionMs;
}

function completeFrom(segments: readonly Segment[], to: number): number {
  let from = to;
  for (const segment of segments.toReversed()) {
    if (segment.to !== from) break;
    from = segment.from;
  }
  return from;
}

function floorTo(time: number, step: number): number {
  return Math.floor(time / step) * step;
}

function ceilTo(time: number, step: number): number {
  return Math.ceil(time / step) * step;
}

function emptyRange({ from, to }: RangeNeed): ParameterError {
  const expected = `a time before to, ${new Date(to).toISOString()}`;
  return new ParameterError('from', new Date(from).toISOString(), expected);
}

function misfit(everyMs: number, sorted: readonly Resolution[]): ParameterError {
  const noun = sorted.length === 1 ? 'the stored resolution' : 'a stored resolution:';
  return new ParameterError('every', formatDuration(everyMs), `a multiple of ${noun} ${sizesOf(sorted)}`);
}

function sizesOf(sorted: readonly Resolution[]): string {
  const ascending = sorted.toReversed();
  return ascending.map(({ resolutionMs }) => formatDuration(resolutionMs)).join(', ');
}
