import type { Aggregate } from '../metric-store/aggregate.ts';

/**
 * Everything that the fold remembers of one partition between two records: one value, plain data (objects, Maps,
 * arrays, numbers, bigints, strings), so that it can be cloned and serialised as it stands.
 */
export interface FoldState {
  /** The greatest log time read so far, ms since the epoch. */
  logTime: number;
  /** The offset of the next record to fold; records below it have been folded. */
  nextOffset: bigint;
  /** Open panes by device, then by window start. */
  readonly devices: Map<string, Map<number, OpenPane>>;
  /** The same panes by the watermark at which they close. */
  readonly closing: Map<number, ClosingPanes>;
  /** The smallest key of `closing`; Infinity when nothing is open. */
  nextClosesAt: number;
  /** Number of aggregates in all open panes. */
  openAggregates: number;
}

/** One device's readings of one pane of one window. */
export interface OpenPane {
  readonly deviceId: string;
  readonly windowStart: number;
  readonly pane: number;
  readonly metrics: Map<string, Aggregate>;
}

/** Panes that close at the same watermark. */
export interface ClosingPanes {
  /** Offset of the first record that contributed to any of them. */
  readonly firstOffset: bigint;
  /** `logTime` of the state when that record had been read. */
  readonly firstLogTime: number;
  readonly panes: OpenPane[];
}

/** A place in a partition's log from which folding can start, with the log time that held there. */
export interface FoldStart {
  readonly offset: bigint;
  /** The greatest log time up to there, ms since the epoch; -Infinity at the start of the log. */
  readonly logTime: number;
}

export const START_OF_LOG: FoldStart = { offset: 0n, logTime: Number.NEGATIVE_INFINITY };

/** The state in which nothing is open, before the record at `start.offset`. */
export function createFoldState(start: FoldStart = START_OF_LOG): FoldState {
  return {
    logTime: start.logTime,
    nextOffset: start.offset,
    devices: new Map(),
    closing: new Map(),
    nextClosesAt: Number.POSITIVE_INFINITY,
    openAggregates: 0,
  };
}

/** The latest place from which folding, starting with nothing open, rebuilds every pane that is open. */
export function earliestNeeded(state: FoldState): FoldStart {
  let first: FoldStart = { offset: state.nextOffset, logTime: state.logTime };
  for (const { firstOffset, firstLogTime } of state.closing.values()) {
    if (firstOffset < first.offset) first = { offset: firstOffset, logTime: firstLogTime };
  }
  return first;
}
