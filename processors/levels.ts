import { addReading, copyAggregate, createAggregate, mergeInto } from '../metric-store/aggregate.ts';
import type { WindowAggregate } from '../metric-store/metric-store.ts';
import { type FoldConfig, maxForcedCloses, paneStrideOf } from './fold-config.ts';
import { type FoldState, type LevelState, nextClosesAtOf, type OpenPane } from './fold-state.ts';
import { type PanePosition, panePositionOf } from './window.ts';

/** Adds a reading to a pane of the finest resolution. `timestamp` is its event time. */
export function addToPane(
  level: LevelState,
  pane: OpenPane,
  metric: string,
  value: number,
  timestamp: number,
): void {
  const aggregate = pane.metrics.get(metric);
  if (aggregate !== undefined) {
    addReading(aggregate, value, timestamp);
    return;
  }
  pane.metrics.set(metric, createAggregate(value, timestamp));
  level.openAggregates++;
}

/** The device's open pane at a position, opened when there is none. */
export function openPane(
  config: FoldConfig,
  level: LevelState,
  sizeMs: number,
  deviceId: string,
  { windowStart, pane, closesAt }: PanePosition,
): OpenPane {
  let panes = level.panes.get(deviceId);
  if (panes === undefined) {
    panes = new Map();
    level.panes.set(deviceId, panes);
  }
  const present = panes.get(windowStart);
  if (present !== undefined) return present;
  const isForced = pane > 0 && level.forced.until === closesAt;
  const number = isForced ? pane + level.forced.count * paneStrideOf(config, sizeMs) : pane;
  const opened: OpenPane = { deviceId, windowStart, pane: number, metrics: new Map() };
  panes.set(windowStart, opened);
  const closing = level.closing.get(closesAt);
  if (closing !== undefined) closing.push(opened);
  else {
    level.closing.set(closesAt, [opened]);
    if (closesAt < level.nextClosesAt) level.nextClosesAt = closesAt;
  }
  return opened;
}

/**
 * Closes every pane whose time has come at a watermark, in the order of their times and finest first, and merges each
 * into the next coarser resolution. The result does not depend on how far the watermark jumped.
 */
export function closePanes(
  config: FoldConfig,
  state: FoldState,
  watermark: number,
  rows: WindowAggregate[],
): void {
  for (let closesAt = nextClosesAtOf(state); closesAt <= watermark; closesAt = nextClosesAtOf(state)) {
    const index = state.levels.findIndex(({ nextClosesAt }) => nextClosesAt === closesAt);
    closeGroup(config, state, index, closesAt, rows);
  }
}

/**
 * Closes the late panes of a resolution before their time, at the end of the window that the watermark is in, because
 * too many aggregates are open. Readings that come later for the same windows open panes with other numbers.
 */
export function closeLatePanesEarly(
  config: FoldConfig,
  state: FoldState,
  index: number,
  rows: WindowAggregate[],
): void {
  const level = state.levels[index];
  const sizeMs = config.windowsMs[index] ?? 1;
  const closesAt = Math.floor((state.logTime - config.graceMs) / sizeMs) * sizeMs + sizeMs;
  const group = level?.closing.get(closesAt);
  if (level === undefined || group === undefined) return;
  const late = group.filter(({ pane }) => pane > 0);
  const count = level.forced.until === closesAt ? level.forced.count + 1 : 1;
  if (late.length === 0 || count > maxForcedCloses(config, sizeMs)) return;
  level.forced = { count, until: closesAt };
  level.closing.set(
    closesAt,
    group.filter(({ pane }) => pane === 0),
  );
  for (const pane of late) closePane(config, state, index, closesAt, pane, rows);
}

function closeGroup(
  config: FoldConfig,
  state: FoldState,
  index: number,
  closesAt: number,
  rows: WindowAggregate[],
): void {
  const level = state.levels[index];
  if (level === undefined) return;
  const group = level.closing.get(closesAt) ?? [];
  level.closing.delete(closesAt);
  level.nextClosesAt = Math.min(...level.closing.keys());
  for (const pane of group) closePane(config, state, index, closesAt, pane, rows);
}

function closePane(
  config: FoldConfig,
  state: FoldState,
  index: number,
  closesAt: number,
  closed: OpenPane,
  rows: WindowAggregate[],
): void {
  const level = state.levels[index];
  const resolutionMs = config.windowsMs[index];
  if (level === undefined || resolutionMs === undefined) return;
  const { deviceId, windowStart, pane, metrics } = closed;
  for (const [metric, aggregate] of metrics) {
    rows.push({ deviceId, metric, resolutionMs, windowStart, pane, aggregate });
  }
  level.openAggregates -= metrics.size;
  const panes = level.panes.get(deviceId);
  panes?.delete(windowStart);
  if (panes?.size === 0) level.panes.delete(deviceId);
  rollUp(config, state, index + 1, closesAt, closed);
}

/** Merges a closed pane into the next coarser resolution, as of the watermark at which it was due to close. */
function rollUp(
  config: FoldConfig,
  state: FoldState,
  index: number,
  closesAt: number,
  closed: OpenPane,
): void {
  const level = state.levels[index];
  const sizeMs = config.windowsMs[index];
  if (level === undefined || sizeMs === undefined) return;
  // Due at the very end of a window, it still belongs to that window's pane 0.
  const position = panePositionOf(closed.windowStart, closesAt - 1, sizeMs);
  const pane = openPane(config, level, sizeMs, closed.deviceId, position);
  for (const [metric, aggregate] of closed.metrics) {
    const present = pane.metrics.get(metric);
    if (present !== undefined) mergeInto(present, aggregate);
    else {
      pane.metrics.set(metric, copyAggregate(aggregate));
      level.openAggregates++;
    }
  }
}
