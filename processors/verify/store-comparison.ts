import { partitionOf } from '../../event-log/partition.ts';
import { type Aggregate, mergeAggregates } from '../../metric-store/aggregate.ts';
import type { MetricStore, Selection, WindowAggregate } from '../../metric-store/metric-store.ts';
import type { Resolution } from '../../metric-store/resolutions.ts';
import { type FoldConfig, paneStrideOf } from '../fold-config.ts';
import { type DeviceMessages, repetitionsIn } from './device-messages.ts';
import type { Differences } from './differences.ts';
import { differingFields } from './differing-fields.ts';
import { type ExpectedWindow, expectedWindows, readingsByTime } from './expected-windows.ts';

export interface StoreComparisonOptions {
  readonly store: MetricStore;
  readonly fold: FoldConfig;
  readonly devices: ReadonlyMap<string, DeviceMessages>;
  readonly partitions: number;
  /** The watermark up to which a partition is folded and its rows are durable, ms since the epoch. */
  readonly watermarkOf: (partition: number) => number;
  /** Windows that start in [from, to), ms since the epoch. */
  readonly from: number;
  readonly to: number;
  readonly differences: Differences;
  readonly signal: AbortSignal;
}

/** How many windows of one size were compared, and why others were not. */
export interface WindowCounts {
  readonly resolutionMs: number;
  compared: number;
  /** Not complete: a pane of theirs is open. */
  open: number;
  /** Older than the store keeps them. */
  expired: number;
}

/** Windows whose aggregates are held at once, about. */
const WINDOWS_AT_ONCE = 50_000;

/** Compares windows that a log says there are with those in a store, series by series. */
export class StoreComparison {
  readonly #options: StoreComparisonOptions;
  readonly #repetitions = new Map<string, readonly boolean[]>();
  /** Devices by metric, of the log and of the store. */
  readonly #devicesOf = new Map<string, Set<string>>();

  constructor(options: StoreComparisonOptions) {
    this.#options = options;
    for (const [deviceId, messages] of options.devices) {
      this.#repetitions.set(deviceId, repetitionsIn(messages));
      for (const metric of messages.series.keys()) this.#addSeries(deviceId, metric);
    }
  }

  /** Messages that the balance counts and that say again what an earlier one said. */
  countedRepetitions(): number {
    let count = 0;
    for (const [deviceId, { counted }] of this.#options.devices) {
      const repetitions = this.#repetitions.get(deviceId) ?? [];
      count += counted.filter((isCounted, index) => isCounted && repetitions[index] === true).length;
    }
    return count;
  }

  /** Compares all windows of one size. Those that started before `oldest`, ms since the epoch, are not. */
  async compare({ resolutionMs }: Resolution, oldest: number): Promise<WindowCounts> {
    const { store, from, to, signal } = this.#options;
    for (const { deviceId, metric } of await store.series()) this.#addSeries(deviceId, metric);
    const counts = { resolutionMs, compared: 0, open: 0, expired: 0 };
    for (const [metric, deviceIds] of this.#devicesOf) {
      for (const devices of this.#groups(metric, [...deviceIds], resolutionMs)) {
        signal.throwIfAborted();
        await this.#compareGroup(
          { metric, devices, resolutionMs, from, to, distributions: true },
          oldest,
          counts,
        );
      }
    }
    return counts;
  }

  #addSeries(deviceId: string, metric: string): void {
    const devices = this.#devicesOf.get(metric) ?? new Set();
    this.#devicesOf.set(metric, devices.add(deviceId));
  }

  /** Devices in groups that have about `WINDOWS_AT_ONCE` windows. */
  #groups(metric: string, deviceIds: readonly string[], resolutionMs: number): string[][] {
    const { from, to, devices } = this.#options;
    const most = Math.ceil((to - from) / resolutionMs) + 1;
    const groups: string[][] = [];
    let windows = Number.POSITIVE_INFINITY;
    for (const deviceId of deviceIds) {
      const readings = devices.get(deviceId)?.series.get(metric)?.values.length;
      const weight = Math.min(readings ?? most, most);
      if (windows + weight > WINDOWS_AT_ONCE) {
        groups.push([]);
        windows = 0;
      }
      groups.at(-1)?.push(deviceId);
      windows += weight;
    }
    return groups;
  }

  async #compareGroup(
    selection: Selection & { readonly devices: readonly string[] },
    oldest: number,
    counts: WindowCounts,
  ): Promise<void> {
    const seen = await this.#readWindows(selection);
    for (const deviceId of selection.devices) {
      const expected = this.#expected(deviceId, selection);
      const stored = seen.get(deviceId) ?? new Map<number, Aggregate>();
      const starts = [...new Set([...expected.keys(), ...stored.keys()])].sort((a, b) => a - b);
      for (const start of starts) {
        const outcome = this.#outcome(deviceId, selection.resolutionMs, start, expected.get(start), oldest);
        counts[outcome]++;
        if (outcome !== 'compared') continue;
        const { metric, resolutionMs } = selection;
        const place = { deviceId, metric, resolutionMs, windowStart: start };
        this.#compareWindow(place, expected.get(start), stored.get(start));
      }
    }
  }

  /** The stored windows by device and start, their panes merged. */
  async #readWindows(selection: Selection): Promise<Map<string, Map<number, Aggregate>>> {
    const windows = new Map<string, Map<number, Aggregate>>();
    for await (const rows of this.#options.store.read(selection)) {
      for (const row of rows) {
        if (this.#isLaterThanRead(row)) continue;
        const ofDevice = windows.get(row.deviceId) ?? new Map<number, Aggregate>();
        windows.set(row.deviceId, ofDevice);
        const present = ofDevice.get(row.windowStart);
        const { aggregate } = row;
        ofDevice.set(
          row.windowStart,
          present === undefined ? aggregate : mergeAggregates(present, aggregate),
        );
      }
    }
    return windows;
  }

  /** Whether a row's pane closed after what was read of the log: its readings are not among the expected ones. */
  #isLaterThanRead({ deviceId, windowStart, resolutionMs, pane }: WindowAggregate): boolean {
    const windowsLate = pane % paneStrideOf(this.#options.fold, resolutionMs);
    return windowStart + (1 + windowsLate) * resolutionMs > this.#watermarkOf(deviceId);
  }

  #watermarkOf(deviceId: string): number {
    const { devices, partitions, watermarkOf } = this.#options;
    return watermarkOf(devices.get(deviceId)?.partition ?? partitionOf(deviceId, partitions));
  }

  #expected(deviceId: string, { metric, resolutionMs, from, to }: Selection): Map<number, ExpectedWindow> {
    const messages = this.#options.devices.get(deviceId);
    const series = messages?.series.get(metric);
    if (messages === undefined || series === undefined) return new Map();
    const readings = readingsByTime(series, messages, this.#repetitions.get(deviceId) ?? []);
    const windows = expectedWindows(readings, resolutionMs);
    return new Map([...windows].filter(([start]) => start >= from && start < to));
  }

  #outcome(
    deviceId: string,
    resolutionMs: number,
    start: number,
    expected: ExpectedWindow | undefined,
    oldest: number,
  ): 'compared' | 'open' | 'expired' {
    if (start < oldest) return 'expired';
    return (expected?.closesAt ?? start + resolutionMs) > this.#watermarkOf(deviceId) ? 'open' : 'compared';
  }

  #compareWindow(
    place: { deviceId: string; metric: string; resolutionMs: number; windowStart: number },
    expected: ExpectedWindow | undefined,
    seen: Aggregate | undefined,
  ): void {
    const { differences } = this.#options;
    if (expected === undefined) {
      if (seen !== undefined) differences.add({ kind: 'extra row', ...place, seen: figuresOf(seen) });
    } else if (seen === undefined) {
      differences.add({ kind: 'missing row', ...place, expected: figuresOf(expected) });
    } else {
      const fields = differingFields(expected, seen);
      if (fields.length > 0) differences.add({ kind: 'differing row', ...place, fields });
    }
  }
}

function figuresOf({ count, sum }: { readonly count: number; readonly sum: number }) {
  return { count, sum };
}
