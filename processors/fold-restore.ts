import type { EventLog } from '../event-log/event-log.ts';
import { decodeCheckpoint, decodeTerms } from './checkpoint.ts';
import { FoldConfigChangedError } from './errors.ts';
import type { FoldConfig } from './fold-config.ts';
import { createFoldState, type FoldState } from './fold-state.ts';
import type { ProcessorEvents } from './processor-events.ts';

/** Where a partition's fold goes on, and with what. */
export interface RestoredFold {
  readonly state: FoldState;
  /** The configuration with the budgets that shaped the state. */
  readonly config: FoldConfig;
  /** Whether nothing beyond the state was folded. Holds only until somebody folds on from it. */
  readonly isFinal: boolean;
}

/**
 * The state from which a partition's fold goes on: the usable checkpoint that reaches furthest, or the start of the log.
 * One that is damaged or of an unknown version is reported and passed over. Rejects with `FoldConfigChangedError`, or
 * with the log's error.
 */
export async function restoreFold(
  log: EventLog,
  group: string,
  partition: number,
  config: FoldConfig,
  events: ProcessorEvents,
): Promise<RestoredFold> {
  let furthest: RestoredFold | undefined;
  // Newest first: of two that reach as far, the later one tells the terms.
  for (const bytes of await log.loadCheckpoints(group, partition)) {
    try {
      const state = decodeCheckpoint(bytes, config);
      if (furthest !== undefined && state.nextOffset <= furthest.state.nextOffset) continue;
      const { budgets, isFinal } = decodeTerms(bytes);
      furthest = { state, config: { ...config, ...budgets }, isFinal };
    } catch (error) {
      if (error instanceof FoldConfigChangedError) throw error;
      events.checkpointRefused(partition, error);
    }
  }
  return furthest ?? { state: createFoldState(config.windowsMs.length), config, isFinal: false };
}
