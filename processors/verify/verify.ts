import type { EventLog, LogRecord, PartitionOffsets } from '../../event-log/event-log.ts';
import type { TopicNames } from '../../event-log/topics.ts';
import type { MetricStore } from '../../metric-store/metric-store.ts';
import type { Resolution } from '../../metric-store/resolutions.ts';
import type { FoldConfig } from '../fold-config.ts';
import { expiredRanges, type PartitionRange, readLogRange } from '../log-range.ts';
import { Differences } from './differences.ts';
import { MessageCollector } from './message-collector.ts';
import { MissingInput } from './missing-input.ts';
import { QuarantinePositions } from './quarantine-positions.ts';
import { StoreComparison, type WindowCounts } from './store-comparison.ts';
import type { FoldedPosition, VerifyResult } from './verify-result.ts';

export interface VerifyOptions {
  readonly log: EventLog;
  readonly store: MetricStore;
  readonly topics: TopicNames;
  readonly fold: FoldConfig;
  /** The window sizes of the store, and how long it keeps them. */
  readonly resolutions: readonly Resolution[];
  /** How long the log keeps telemetry and quarantined messages, ms. */
  readonly retentionMs: { readonly telemetry: number; readonly quarantine: number };
  /** Up to where a partition is folded with all output durable; undefined where that is not known. */
  readonly foldedPosition: (partition: number) => Promise<FoldedPosition | undefined>;
  /** Windows that start in [from, to), ms since the epoch. */
  readonly from: number;
  readonly to: number;
  /** Differences that are listed; all are counted. */
  readonly maxDifferences: number;
  /** Messages and readings that are held in memory at most, about 30 bytes each; 20,000,000 unless given. */
  readonly maxKept?: number;
  /** Wall clock, ms since the epoch; decides what retention may have deleted. */
  readonly clock: () => number;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** The consumer failed and recovers by itself. */
  readonly onFailure?: (error: Error) => void;
}

export interface VerifyProgress {
  readonly doing: 'quarantined' | 'telemetry' | 'comparing';
  /** Records read, of `total`; window sizes compared, of `total`. */
  readonly done: number;
  readonly total: number;
}

/** Messages and readings that are held in memory at most, unless told otherwise. */
export const MAX_KEPT = 20_000_000;
/** Clocks of brokers may differ by this much. */
const CLOCK_SKEW_MS = 60_000;
/** Rows this close to the end of their retention may be gone before they are read. */
const RETENTION_MARGIN_MS = 600_000;

/**
 * Computes the aggregates of all windows that start in a range a second time, from the raw messages and by other code
 * than the fold, and compares them with the store. Only what is folded, and windows whose panes are all closed, can be
 * compared; the pipeline may go on meanwhile. Rejects with `RangeTooLargeError`, `LogRangeStalledError`, with
 * errors of the log and the store, or with the signal's reason.
 */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  return new Verification(options).run();
}

class Verification {
  readonly #options: VerifyOptions;
  readonly #missing = new MissingInput();
  readonly #differences: Differences;
  /** Event times that windows of the range can hold. */
  readonly #keep: { readonly from: number; readonly to: number };

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#differences = new Differences(options.maxDifferences);
    const { from, to, fold } = options;
    const align = (time: number, sizeMs: number) => Math.ceil(time / sizeMs) * sizeMs;
    this.#keep = {
      from: Math.min(...fold.windowsMs.map((sizeMs) => align(from, sizeMs))),
      to: Math.max(...fold.windowsMs.map((sizeMs) => align(to, sizeMs))),
    };
  }

  async run(): Promise<VerifyResult> {
    const { log, topics, fold, from, to, maxKept = MAX_KEPT } = this.#options;
    // A message of the range was appended at the earliest `maxAhead` before it; repetitions without a time of their own
    // are recognised by what came in the window before that.
    const needed = this.#keep.from - fold.maxAheadMs;
    const start = needed - (fold.windowsMs.at(-1) ?? 0);
    const positions = await this.#positions();
    const quarantined = await this.#readQuarantined(start);
    const offsets = await log.offsets(topics.telemetry, start);
    await this.#noteExpired(topics.telemetry, needed, this.#options.retentionMs.telemetry);
    const { graceMs, maxAheadMs, maxAgeMs } = fold;
    const limits = { graceMs, maxAheadMs, maxAgeMs, maxKept };
    const collector = new MessageCollector({ ...limits, quarantined, keep: this.#keep, count: { from, to } });
    const ranges = this.#telemetryRanges(offsets, positions);
    await this.#readTelemetry(ranges, collector);
    for (const message of collector.unquarantined)
      this.#differences.add({ kind: 'not quarantined', ...message });
    const watermarks = ranges.map(
      ({ partition }) =>
        positions[partition]?.logTime ?? collector.logTimeOf(partition) ?? Number.NEGATIVE_INFINITY,
    );
    const comparison = this.#comparison(collector, watermarks);
    const windows = await this.#compareAll(comparison);
    return this.#result(collector, quarantined, windows, comparison.countedRepetitions(), ranges, positions);
  }

  async #positions(): Promise<(FoldedPosition | undefined)[]> {
    const { log, topics, foldedPosition } = this.#options;
    const partitions = Array.from({ length: log.partitions(topics.telemetry) }, (_, partition) => partition);
    return Promise.all(partitions.map((partition) => foldedPosition(partition)));
  }

  /** What is not folded yet is not read: neither its rows nor its quarantined messages need be there. */
  #telemetryRanges(
    offsets: readonly PartitionOffsets[],
    positions: readonly (FoldedPosition | undefined)[],
  ): PartitionRange[] {
    return offsets.map(({ atLogTime, end }, partition) => {
      const position = positions[partition];
      const isBehind = position !== undefined && position.nextOffset < end;
      return { partition, from: atLogTime, to: isBehind ? position.nextOffset : end };
    });
  }

  async #readQuarantined(start: number): Promise<QuarantinePositions> {
    const { log, topics, from, to, retentionMs } = this.#options;
    const quarantined = new QuarantinePositions(from, to);
    const offsets = await log.offsets(topics.quarantine, start - CLOCK_SKEW_MS);
    await this.#noteExpired(topics.quarantine, start, retentionMs.quarantine);
    const ranges = offsets.map(({ atLogTime, end }, partition) => ({ partition, from: atLogTime, to: end }));
    await this.#read(topics.quarantine, ranges, 'quarantined', (_, record) => quarantined.add(record));
    return quarantined;
  }

  async #readTelemetry(ranges: readonly PartitionRange[], collector: MessageCollector): Promise<void> {
    const { telemetry } = this.#options.topics;
    const next = new Map(ranges.map(({ partition, from }) => [partition, from]));
    await this.#read(telemetry, ranges, 'telemetry', (partition, record) => {
      this.#missing.addGap(telemetry, partition, next.get(partition) ?? record.offset, record.offset);
      next.set(partition, record.offset + 1n);
      collector.add(partition, record);
    });
  }

  async #read(
    topic: string,
    ranges: readonly PartitionRange[],
    doing: 'quarantined' | 'telemetry',
    visit: (partition: number, record: LogRecord) => void,
  ): Promise<void> {
    const { log, signal, onProgress, onFailure } = this.#options;
    const wanted = ranges.filter(({ from, to }) => from < to);
    const total = wanted.reduce((sum, { from, to }) => sum + Number(to - from), 0);
    let done = 0;
    await readLogRange({
      log,
      topic,
      purpose: 'sluice-verify',
      ranges: wanted,
      signal,
      onFailure: onFailure ?? (() => {}),
      onRecords: (partition, records) => {
        for (const record of records) visit(partition, record);
        done += records.length;
        onProgress?.({ doing, done, total });
      },
    });
  }

  async #noteExpired(topic: string, logTime: number, retentionMs: number): Promise<void> {
    const { log, clock } = this.#options;
    const offsets = await log.offsets(topic, logTime);
    for (const expired of expiredRanges(offsets, logTime, retentionMs, clock()))
      this.#missing.addExpired(topic, expired);
  }

  #comparison(collector: MessageCollector, logTimes: readonly number[]): StoreComparison {
    const { store, fold, from, to, signal } = this.#options;
    return new StoreComparison({
      store,
      fold,
      devices: collector.devices,
      partitions: logTimes.length,
      watermarkOf: (partition) => (logTimes[partition] ?? Number.NEGATIVE_INFINITY) - fold.graceMs,
      from,
      to,
      differences: this.#differences,
      signal,
    });
  }

  async #compareAll(comparison: StoreComparison): Promise<WindowCounts[]> {
    const { resolutions, clock, onProgress } = this.#options;
    const windows: WindowCounts[] = [];
    for (const resolution of resolutions) {
      onProgress?.({ doing: 'comparing', done: windows.length, total: resolutions.length });
      const { retentionMs } = resolution;
      const oldest = retentionMs === undefined ? 0 : clock() - retentionMs + RETENTION_MARGIN_MS;
      windows.push(await comparison.compare(resolution, oldest));
    }
    return windows;
  }

  #result(
    { counts }: MessageCollector,
    { gatewayPayloads }: QuarantinePositions,
    windows: readonly WindowCounts[],
    repetitions: number,
    ranges: readonly PartitionRange[],
    positions: readonly (FoldedPosition | undefined)[],
  ): VerifyResult {
    const { from, to } = this.#options;
    const { accepted, quarantined } = counts;
    const duplicates = counts.duplicates + repetitions;
    const unquarantined = this.#differences.unquarantined;
    const compared = windows.reduce((sum, window) => sum + window.compared, 0);
    const open = windows.reduce((sum, window) => sum + window.open, 0);
    const missingInput = this.#missing.ranges;
    return {
      from,
      to,
      outcome: outcomeOf(missingInput.length > 0 || (compared === 0 && open > 0), this.#differences.total),
      records: ranges.reduce((sum, range) => sum + Math.max(0, Number(range.to - range.from)), 0),
      messages: {
        accepted,
        aggregated: accepted - duplicates - quarantined - unquarantined,
        duplicates,
        quarantined,
      },
      payloads: { accepted: counts.payloads, quarantined: gatewayPayloads },
      windows,
      missingInput,
      withoutCheckpoint: ranges
        .filter((range) => positions[range.partition] === undefined && range.from < range.to)
        .map(({ partition }) => partition),
      differences: { total: this.#differences.total, listed: this.#differences.listed },
    };
  }
}

function outcomeOf(isUnverifiable: boolean, differences: number): VerifyResult['outcome'] {
  if (isUnverifiable) return 'unverifiable';
  return differences === 0 ? 'equal' : 'different';
}
