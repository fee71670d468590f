import { setTimeout as sleep } from 'node:timers/promises';
import { QueryApiError } from '../errors.ts';
import type { Expectations } from './expectation.ts';
import { type Difference, reconcile } from './reconcile.ts';
import type { StoreView } from './store-view.ts';

export interface SettleOptions {
  /** How long the aggregates are waited for, ms. */
  readonly timeoutMs: number;
  /** When the last message was sent, ms since the epoch. */
  readonly lastSentMs: number;
  /** Whether messages may have been delivered twice, or delivered without an acknowledgement. */
  readonly uncertain: boolean;
}

/** Counts are of device messages unless they say otherwise. */
export interface Comparison {
  /** Whether the aggregates had every acknowledged message in time. */
  readonly complete: boolean;
  readonly waitedMs: number;
  readonly missing: number;
  readonly countedTwice: number;
  readonly unknownCounted: number;
  /** Aggregates (of a device and metric) compared, and those whose values nothing sent explains. */
  readonly compared: number;
  readonly differing: number;
  /** The first twenty aggregates of which anything is wrong. */
  readonly differences: readonly Difference[];
}

const POLL_MS = 1_000;
const MAX_DIFFERENCES = 20;
/** Grace, ticks and writes of a pipeline with default settings, on top of its window, ms. */
const PIPELINE_DELAY_MS = 5_000;

/**
 * Waits until every acknowledged message is in the aggregates, then compares all of them. Where a message may have come
 * twice, it waits until a window after the last sending has closed too, because a second copy may show only then.
 * An abort ends the waiting, and what there is is compared. Rejects with `QueryApiError` when the API gives
 * no answer until the timeout, or one that another attempt cannot better.
 */
export async function settle(
  view: StoreView,
  expectations: Expectations,
  options: SettleOptions,
  onProgress: (counted: number, certain: number) => void,
  signal: AbortSignal,
): Promise<Comparison> {
  const startedAt = performance.now();
  for (;;) {
    const waitedMs = performance.now() - startedAt;
    const last = signal.aborted || waitedMs >= options.timeoutMs;
    try {
      const counted = await countComplete(view, expectations, onProgress);
      if (last || (counted && isQuiet(view, options))) {
        const comparison = await compare(view, expectations);
        const complete = comparison.missing === 0;
        if (last || complete) return { ...comparison, complete, waitedMs };
      }
    } catch (error) {
      if (last || !(error instanceof QueryApiError && error.retryable)) throw error;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

async function countComplete(
  view: StoreView,
  expectations: Expectations,
  onProgress: (counted: number, certain: number) => void,
): Promise<boolean> {
  const counts = await view.counts();
  let counted = 0;
  let certain = 0;
  for (let device = 0; device < expectations.devices; device++) {
    const expected = expectations.certainCount(device);
    certain += expected;
    counted += Math.min(counts[device] ?? 0, expected);
  }
  onProgress(counted, certain);
  return counted === certain;
}

function isQuiet(view: StoreView, { uncertain, lastSentMs }: SettleOptions): boolean {
  return !uncertain || Date.now() >= lastSentMs + (view.resolutionMs ?? 0) + PIPELINE_DELAY_MS;
}

async function compare(
  view: StoreView,
  expectations: Expectations,
): Promise<Omit<Comparison, 'complete' | 'waitedMs'>> {
  const tallies = await view.tallies();
  const total = { missing: 0, countedTwice: 0, unknownCounted: 0, compared: 0, differing: 0 };
  const differences: Difference[] = [];
  for (let device = 0; device < expectations.devices; device++) {
    const expectation = expectations.of(device);
    const finding = reconcile(expectation, tallies[device] ?? new Map());
    total.missing += finding.missing;
    total.countedTwice += finding.countedTwice;
    total.unknownCounted += finding.unknownCounted;
    total.compared += expectation.metrics.length;
    total.differing += finding.differences.filter(({ kind }) => kind === 'differs').length;
    differences.push(...finding.differences.slice(0, MAX_DIFFERENCES - differences.length));
  }
  return { ...total, differences };
}
