import type { Aggregate } from '../metric-store/aggregate.ts';
import type { PayloadMemory } from './payload-memory.ts';
import type { SequenceWindow } from './sequence-window.ts';

/**
 * Everything that the fold remembers of one partition between two records: one value, plain data (objects, Maps,
 * arrays, typed arrays, numbers, bigints, strings), so that it can be cloned and serialised as it stands. Any
 * snapshot of it, by whichever process, is valid for its `nextOffset`.
 */
export interface FoldState {
  /** The greatest log time read so far, ms since the epoch; -Infinity before the first record. */
  logTime: number;
  /** The offset of the next record to fold; records below it have been folded. */
  nextOffset: bigint;
  /** What is needed to recognise duplicates, by device. */
  readonly devices: Map<string, DeviceState>;
  /** Open panes by resolution, finest first. */
  readonly levels: readonly LevelState[];
  /** State of alert rules, by rule and series. Empty until there are rules. */
  readonly alerts: Map<string, never>;
}

/** What is remembered of one device. */
export interface DeviceState {
  /** Log time of its latest message, ms since the epoch. */
  lastSeen: number;
  /** Runs of its counter, the one used last first; empty when it sends none. */
  readonly sequences: SequenceWindow[];
  /** Undefined as long as every payload was one message with both `seq` and `ts`, or neither. */
  payloads: PayloadMemory | undefined;
}

/** The open panes of one resolution. */
export interface LevelState {
  /** By device, then by window start. */
  readonly panes: Map<string, Map<number, OpenPane>>;
  /** The same panes by the watermark at which they close. */
  readonly closing: Map<number, OpenPane[]>;
  /** The smallest key of `closing`; Infinity when nothing is open. */
  nextClosesAt: number;
  /** Number of aggregates in all open panes. */
  openAggregates: number;
  /** How often late panes had to be closed early, and the end of the window of log time that this counts for. */
  forced: { count: number; until: number };
}

/** One device's readings of one pane of one window. */
export interface OpenPane {
  readonly deviceId: string;
  readonly windowStart: number;
  readonly pane: number;
  readonly metrics: Map<string, Aggregate>;
}

/** The state before the first record of a partition. */
export function createFoldState(resolutions: number): FoldState {
  return {
    logTime: Number.NEGATIVE_INFINITY,
    nextOffset: 0n,
    devices: new Map(),
    levels: Array.from({ length: resolutions }, createLevelState),
    alerts: new Map<string, never>(),
  };
}

export function createLevelState(): LevelState {
  return {
    panes: new Map(),
    closing: new Map(),
    nextClosesAt: Number.POSITIVE_INFINITY,
    openAggregates: 0,
    forced: { count: 0, until: Number.NEGATIVE_INFINITY },
  };
}

/** Aggregates in open panes of all resolutions. */
export function openAggregatesOf({ levels }: FoldState): number {
  let open = 0;
  for (const { openAggregates } of levels) open += openAggregates;
  return open;
}

/** The watermark at which the next pane closes; Infinity when nothing is open. */
export function nextClosesAtOf({ levels }: FoldState): number {
  let first = Number.POSITIVE_INFINITY;
  for (const { nextClosesAt } of levels) if (nextClosesAt < first) first = nextClosesAt;
  return first;
}
