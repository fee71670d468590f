import { mergeAggregates } from '../metric-store/aggregate.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { type TestReading, toRows } from './array-metric-store.fixture.ts';
import type { QueriedResolution } from './resolution.ts';

/**
 * The rows that a store holds at `now` of readings of one metric: of every resolution, finest first, the windows that ended
 * before the watermark and are still kept, each coarser row merged from those of the finer one.
 */
export function rolledUpRows(
  readings: readonly TestReading[],
  metric: string,
  resolutions: readonly QueriedResolution[],
  { now, watermark }: { readonly now: number; readonly watermark: number },
): WindowAggregate[] {
  const stored: WindowAggregate[] = [];
  let finer: readonly WindowAggregate[] | undefined;
  for (const { resolutionMs, retentionMs = Number.POSITIVE_INFINITY } of resolutions) {
    const rows = finer === undefined ? toRows(readings, metric, resolutionMs) : rollUp(finer, resolutionMs);
    const closed: readonly WindowAggregate[] = rows.filter(
      ({ windowStart }) => windowStart + resolutionMs <= watermark,
    );
    stored.push(...closed.filter(({ windowStart }) => windowStart >= now - retentionMs));
    finer = closed;
  }
  return stored;
}

function rollUp(finer: readonly WindowAggregate[], resolutionMs: number): WindowAggregate[] {
  const rows = new Map<string, WindowAggregate>();
  for (const row of finer) {
    const windowStart = Math.floor(row.windowStart / resolutionMs) * resolutionMs;
    const key = JSON.stringify([row.deviceId, windowStart, row.pane]);
    const present = rows.get(key);
    const aggregate =
      present === undefined ? row.aggregate : mergeAggregates(present.aggregate, row.aggregate);
    rows.set(key, { ...row, resolutionMs, windowStart, aggregate });
  }
  return [...rows.values()];
}
