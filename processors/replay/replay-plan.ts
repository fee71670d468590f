import type { EventLog } from '../../event-log/event-log.ts';
import type { FoldConfig } from '../fold-config.ts';
import { expiredRanges, type PartitionRange } from '../log-range.ts';
import { ReplayInputMissingError } from './errors.ts';

/** What a replay reads. */
export interface ReplayPlan {
  /** Log time from which records are folded, ms since the epoch. */
  readonly startLogTime: number;
  readonly ranges: readonly PartitionRange[];
  /** Partitions that go on where an interrupted replay of the same range was. */
  readonly resumed: readonly number[];
  /** Records to fold. */
  readonly records: number;
}

/**
 * Log time, ms since the epoch, from which a replay has to fold so that its panes are those of a run from the beginning.
 *
 * The first reading of the range is appended at the earliest `maxAhead` before the range begins. Every pane that was open at
 * the start, which this fold does not have, is closed one `maxAhead`, coarsest window and grace later: so from the first
 * reading of the range on, both have the same panes open, and the budgets bite alike. (But for panes, all before the range, of
 * repetitions whose first delivery only the run from the beginning has seen.)
 */
export function startLogTimeOf({ windowsMs, graceMs, maxAheadMs }: FoldConfig, from: number): number {
  const longestOpenMs = maxAheadMs + (windowsMs.at(-1) ?? 0) + graceMs;
  return from - maxAheadMs - longestOpenMs;
}

export interface PlanOptions {
  readonly log: EventLog;
  readonly topic: string;
  readonly fold: FoldConfig;
  /** Start of the range, ms since the epoch. */
  readonly from: number;
  /** How long the log keeps records, ms. */
  readonly retentionMs: number;
  readonly now: number;
  /** Where an interrupted replay was, by partition. */
  readonly resumeAt: ReadonlyMap<number, bigint>;
}

/** Finds what to read. Rejects with `ReplayInputMissingError` when records of the range are no longer kept. */
export async function planReplay(options: PlanOptions): Promise<ReplayPlan> {
  const { log, topic, fold, from, retentionMs, now, resumeAt } = options;
  const startLogTime = startLogTimeOf(fold, from);
  const needed = from - fold.maxAheadMs;
  const [expired] = expiredRanges(await log.offsets(topic, needed), needed, retentionMs, now);
  if (expired !== undefined) {
    throw new ReplayInputMissingError(
      `partition ${expired.partition} of ${topic} keeps records from offset ${expired.earliest} on only, and the range needs earlier ones; replay a range that starts later`,
    );
  }
  const offsets = await log.offsets(topic, startLogTime);
  const ranges = offsets.map(({ atLogTime, end }, partition) => ({
    partition,
    from: resumeAt.get(partition) ?? atLogTime,
    to: end,
  }));
  for (const { partition, from: first } of ranges) {
    const earliest = offsets[partition]?.earliest ?? 0n;
    if (first < earliest) {
      throw new ReplayInputMissingError(
        `partition ${partition} of ${topic} no longer keeps offset ${first}, where the interrupted replay would go on; begin again with --restart`,
      );
    }
  }
  const records = ranges.reduce((sum, range) => sum + Math.max(0, Number(range.to - range.from)), 0);
  return { startLogTime, ranges, resumed: [...resumeAt.keys()], records };
}
