import { readAggregate, writeAggregate } from './checkpoint-aggregate.ts';
import { type Names, placesOf, readName } from './checkpoint-names.ts';
import type { CheckpointReader } from './checkpoint-reader.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';
import { createLevelState, type LevelState, type OpenPane } from './fold-state.ts';

type Places = { readonly [K in keyof Names]: ReadonlyMap<string, number> };

/** Writes the open panes of each resolution, in the order in which they will close and be merged. */
export function writeLevels(
  writer: CheckpointWriter,
  levels: readonly LevelState[],
  windowsMs: readonly number[],
  names: Names,
): void {
  if (levels.length !== windowsMs.length)
    throw new RangeError(`${levels.length} of ${windowsMs.length} levels`);
  const places: Places = { devices: placesOf(names.devices), metrics: placesOf(names.metrics) };
  levels.forEach((level, index) => {
    writeLevel(writer, level, windowsMs[index] ?? Number.NaN, places);
  });
}

export function readLevels(
  reader: CheckpointReader,
  windowsMs: readonly number[],
  names: Names,
): LevelState[] {
  return windowsMs.map((sizeMs) => readLevel(reader, sizeMs, names));
}

function writeLevel(writer: CheckpointWriter, level: LevelState, sizeMs: number, places: Places): void {
  writer.varint(level.forced.count);
  writer.time(level.forced.until);
  writer.varint(level.closing.size);
  let panes = 0;
  for (const closesAt of [...level.closing.keys()].sort((a, b) => a - b)) {
    const group = level.closing.get(closesAt) ?? [];
    writer.time(closesAt);
    writer.varint(group.length);
    panes += group.length;
    for (const pane of group) {
      if (level.panes.get(pane.deviceId)?.get(pane.windowStart) !== pane) {
        throw new RangeError(`the pane ${pane.windowStart} of ${pane.deviceId} closes but is not open`);
      }
      writePane(writer, pane, closesAt, sizeMs, places);
    }
  }
  const open = [...level.panes.values()].reduce((sum, { size }) => sum + size, 0);
  if (open !== panes) throw new RangeError(`${open} panes are open and ${panes} will close`);
}

function readLevel(reader: CheckpointReader, sizeMs: number, names: Names): LevelState {
  const level = createLevelState();
  level.forced = { count: reader.varint(), until: reader.time() };
  const groups = reader.count('groups of panes');
  let previous = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < groups; i++) {
    const closesAt = reader.time();
    if (closesAt <= previous || closesAt % sizeMs !== 0)
      throw reader.damaged(`panes that close at ${closesAt}`);
    previous = closesAt;
    const group: OpenPane[] = [];
    for (let left = reader.count('panes'); left > 0; left--) {
      const pane = readPane(reader, closesAt, sizeMs, names);
      open(reader, level, pane);
      group.push(pane);
    }
    level.closing.set(closesAt, group);
    level.nextClosesAt = Math.min(level.nextClosesAt, closesAt);
  }
  return level;
}

function open(reader: CheckpointReader, level: LevelState, pane: OpenPane): void {
  let panes = level.panes.get(pane.deviceId);
  if (panes === undefined) {
    panes = new Map();
    level.panes.set(pane.deviceId, panes);
  }
  if (panes.has(pane.windowStart)) {
    throw reader.damaged(`${pane.deviceId} has the pane ${pane.windowStart} twice`);
  }
  panes.set(pane.windowStart, pane);
  level.openAggregates += pane.metrics.size;
}

function writePane(
  writer: CheckpointWriter,
  { deviceId, windowStart, pane, metrics }: OpenPane,
  closesAt: number,
  sizeMs: number,
  places: Places,
): void {
  writer.varint(placeIn(places.devices, deviceId));
  writer.varint((closesAt - windowStart) / sizeMs - 1);
  writer.varint(pane);
  writer.varint(metrics.size);
  const window = { start: windowStart, sizeMs };
  for (const [metric, aggregate] of metrics) {
    writer.varint(placeIn(places.metrics, metric));
    writeAggregate(writer, aggregate, window);
  }
}

function readPane(reader: CheckpointReader, closesAt: number, sizeMs: number, names: Names): OpenPane {
  const deviceId = readName(reader, names.devices);
  const windowStart = closesAt - (reader.varint() + 1) * sizeMs;
  if (!Number.isSafeInteger(windowStart)) throw reader.damaged(`a window that starts at ${windowStart}`);
  const opened: OpenPane = { deviceId, windowStart, pane: reader.varint(), metrics: new Map() };
  const window = { start: windowStart, sizeMs };
  for (let left = reader.count('metrics'); left > 0; left--) {
    const metric = readName(reader, names.metrics);
    if (opened.metrics.has(metric)) throw reader.damaged(`the metric ${metric} twice in a pane`);
    opened.metrics.set(metric, readAggregate(reader, window));
  }
  return opened;
}

function placeIn(places: ReadonlyMap<string, number>, name: string): number {
  return places.get(name) ?? Number.NaN;
}
