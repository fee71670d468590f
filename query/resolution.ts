import type { Resolution } from '../metric-store/resolutions.ts';
import { formatDuration } from './duration.ts';
import { ParameterError } from './errors.ts';

export interface ResolutionNeed {
  /** Bucket size, ms; undefined when the whole range is one bucket. */
  readonly everyMs?: number;
  /** Range, ms since the epoch. */
  readonly from: number;
  readonly to: number;
  /** Ms since the epoch. */
  readonly now: number;
}

/** A finer resolution is not used once a series has more windows than this in the range. */
export const MAX_WINDOWS_PER_SERIES = 20_000;

/**
 * The stored resolution to answer from: of those that divide the bucket size and are still kept at the start of
 * the range, the finest that does not take too many windows. Finer windows close earlier and keep the range closer
 * to what was asked for. Where no resolution reaches back far enough, the one that is kept longest.
 *
 * Throws `ParameterError` when the bucket size is a multiple of none. `resolutions` is not empty.
 */
export function chooseResolution(resolutions: readonly Resolution[], need: ResolutionNeed): number {
  const sorted = [...resolutions].sort((a, b) => a.resolutionMs - b.resolutionMs);
  const { everyMs } = need;
  const fitting = sorted.filter(({ resolutionMs }) => everyMs === undefined || everyMs % resolutionMs === 0);
  if (everyMs !== undefined && fitting.length === 0) throw misfit(everyMs, sorted);
  const longest = Math.max(...fitting.map(retention));
  const kept = fitting.filter((stored) => need.now - retention(stored) <= need.from);
  const candidates = kept.length > 0 ? kept : fitting.filter((stored) => retention(stored) === longest);
  const affordable = candidates.find(
    ({ resolutionMs }) => (need.to - need.from) / resolutionMs <= MAX_WINDOWS_PER_SERIES,
  );
  const chosen = affordable ?? candidates.at(-1);
  if (chosen === undefined) throw new RangeError('the store has no resolutions');
  return chosen.resolutionMs;
}

function retention({ retentionMs }: Resolution): number {
  return retentionMs ?? Number.POSITIVE_INFINITY;
}

function misfit(everyMs: number, sorted: readonly Resolution[]): ParameterError {
  const sizes = sorted.map(({ resolutionMs }) => formatDuration(resolutionMs)).join(', ');
  const noun = sorted.length === 1 ? 'the stored resolution' : 'a stored resolution:';
  return new ParameterError('every', formatDuration(everyMs), `a multiple of ${noun} ${sizes}`);
}
