import { addReading, createAggregate } from '../metric-store/aggregate.ts';
import { NO_DISTRIBUTION } from '../metric-store/distribution.ts';
import type { MetricStore, Selection, Series, WindowAggregate } from '../metric-store/metric-store.ts';

/** A reading as the tests state it. */
export interface TestReading {
  readonly deviceId: string;
  readonly value: number;
  /** Event time, ms since the epoch. */
  readonly timestamp: number;
  /** The pane it falls into, 0 = on time. */
  readonly pane: number;
}

/** The rows that a processor would store for these readings of one metric. */
export function toRows(
  readings: readonly TestReading[],
  metric: string,
  resolutionMs: number,
): WindowAggregate[] {
  const rows = new Map<string, WindowAggregate>();
  for (const { deviceId, value, timestamp, pane } of readings) {
    const windowStart = Math.floor(timestamp / resolutionMs) * resolutionMs;
    const key = JSON.stringify([deviceId, windowStart, pane]);
    const row = rows.get(key);
    if (row !== undefined) addReading(row.aggregate, value, timestamp);
    else {
      const aggregate = createAggregate(value, timestamp);
      rows.set(key, { deviceId, metric, resolutionMs, windowStart, pane, aggregate });
    }
  }
  return [...rows.values()];
}

/** A metric store that yields rows in exactly the order it was given, in chunks of `chunkRows`. */
export class ArrayMetricStore implements MetricStore {
  readonly #rows: WindowAggregate[];
  readonly #chunkRows: number;
  readonly selections: Selection[] = [];

  constructor(rows: readonly WindowAggregate[], chunkRows = 3) {
    this.#rows = [...rows];
    this.#chunkRows = chunkRows;
  }

  async write(rows: readonly WindowAggregate[]): Promise<void> {
    this.#rows.push(...rows);
  }

  async *read(selection: Selection): AsyncGenerator<readonly WindowAggregate[]> {
    this.selections.push(selection);
    const { distributions } = selection;
    const selected = this.#rows
      .filter((row) => isSelected(row, selection))
      .map((row) =>
        distributions ? row : { ...row, aggregate: { ...row.aggregate, distribution: NO_DISTRIBUTION } },
      );
    for (let i = 0; i < selected.length; i += this.#chunkRows) yield selected.slice(i, i + this.#chunkRows);
  }

  async series(): Promise<readonly Series[]> {
    const keys = new Set(this.#rows.map(({ deviceId, metric }) => `${deviceId}\n${metric}`));
    return [...keys].sort().map((key) => {
      const [deviceId = '', metric = ''] = key.split('\n');
      return { deviceId, metric };
    });
  }

  async ping(): Promise<void> {}

  async close(): Promise<void> {}
}

function isSelected(row: WindowAggregate, selection: Selection): boolean {
  return (
    row.metric === selection.metric &&
    row.resolutionMs === selection.resolutionMs &&
    row.windowStart >= selection.from &&
    row.windowStart < selection.to &&
    (selection.devices?.includes(row.deviceId) ?? true)
  );
}
