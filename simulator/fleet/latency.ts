import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** Figures of a distribution of times, ms; null when nothing was recorded. */
export interface LatencyFigures {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** A histogram of times with three significant digits, from a microsecond to an hour. */
export class LatencyHistogram {
  readonly #histogram: RecordableHistogram = createHistogram({
    lowest: 1,
    highest: 3_600_000_000,
    figures: 3,
  });

  /** Records a time, ms. Times outside the range count as its ends. */
  record(ms: number): void {
    this.#histogram.record(Math.min(3_600_000_000, Math.max(1, Math.round(ms * 1_000))));
  }

  figures(): LatencyFigures | null {
    const histogram = this.#histogram;
    if (histogram.count === 0) return null;
    return {
      p50: histogram.percentile(50) / 1_000,
      p99: histogram.percentile(99) / 1_000,
      max: histogram.max / 1_000,
    };
  }
}
