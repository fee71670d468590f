import type { CheckpointReader } from './checkpoint-reader.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';
import type { FoldState } from './fold-state.ts';

/** The names in a state, each written once and referred to by its place in ascending order. */
export interface Names {
  readonly devices: readonly string[];
  readonly metrics: readonly string[];
}

export function namesOf({ devices, levels }: FoldState): Names {
  const deviceIds = new Set(devices.keys());
  const metrics = new Set<string>();
  for (const { panes } of levels) {
    for (const [deviceId, byStart] of panes) {
      deviceIds.add(deviceId);
      for (const pane of byStart.values()) for (const metric of pane.metrics.keys()) metrics.add(metric);
    }
  }
  return { devices: [...deviceIds].sort(), metrics: [...metrics].sort() };
}

/** The place of each name in its list. */
export function placesOf(names: readonly string[]): ReadonlyMap<string, number> {
  return new Map(names.map((name, place) => [name, place]));
}

export function writeNames(writer: CheckpointWriter, names: readonly string[]): void {
  writer.varint(names.length);
  for (const name of names) writer.text(name);
}

export function readNames(reader: CheckpointReader): string[] {
  const names: string[] = [];
  const count = reader.count('names');
  for (let i = 0; i < count; i++) {
    const name = reader.text();
    const previous = names.at(-1);
    if (previous !== undefined && name <= previous) throw reader.damaged('names out of order');
    names.push(name);
  }
  return names;
}

/** A name that is referred to by its place. */
export function readName(reader: CheckpointReader, names: readonly string[]): string {
  const place = reader.varint();
  const name = names[place];
  if (name === undefined) throw reader.damaged(`name ${place} of ${names.length}`);
  return name;
}
