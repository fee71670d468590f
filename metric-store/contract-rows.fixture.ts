import { NO_DISTRIBUTION } from './distribution.ts';
import type { MetricStore, Selection, WindowAggregate } from './metric-store.ts';
import { aggregateOf } from './rows.fixture.ts';

export const DAY_MS = 86_400_000;
/** A full hour of yesterday. */
export const T0 = Math.floor((Date.now() - DAY_MS) / 3_600_000) * 3_600_000;

export function rowOf(fields: Partial<WindowAggregate>): WindowAggregate {
  return {
    deviceId: 'd1',
    metric: 'm',
    resolutionMs: 10_000,
    windowStart: T0,
    pane: 0,
    aggregate: aggregateOf([1.5, 2.5]),
    ...fields,
  };
}

export function select(metric: string): Selection {
  return { metric, resolutionMs: 10_000, from: T0 - DAY_MS, to: T0 + DAY_MS, distributions: true };
}

export async function readAll(store: MetricStore, selection: Selection): Promise<WindowAggregate[]> {
  const rows: WindowAggregate[] = [];
  for await (const chunk of store.read(selection)) rows.push(...chunk);
  return inOrder(rows);
}

/** By identity, and with raw values in order: neither order is promised. */
export function inOrder(rows: readonly WindowAggregate[]): WindowAggregate[] {
  return rows
    .map((row) => ({ ...row, aggregate: { ...row.aggregate, distribution: sorted(row) } }))
    .sort(
      (a, b) =>
        compare(a.deviceId, b.deviceId) || compare(a.windowStart, b.windowStart) || compare(a.pane, b.pane),
    );
}

function sorted({ aggregate: { distribution } }: WindowAggregate) {
  if (distribution.kind === 'sketch' || distribution === NO_DISTRIBUTION) return distribution;
  return { kind: 'raw' as const, values: [...distribution.values].sort((a, b) => a - b) };
}

function compare<T extends string | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
