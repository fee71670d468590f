import type { EventLog } from '../event-log/event-log.ts';
import { decodeCheckpoint } from './checkpoint.ts';
import { FoldConfigChangedError } from './errors.ts';
import type { FoldConfig } from './fold-config.ts';
import { createFoldState, type FoldState } from './fold-state.ts';
import type { ProcessorEvents } from './processor-events.ts';

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
): Promise<FoldState> {
  let furthest: FoldState | undefined;
  for (const bytes of await log.loadCheckpoints(group, partition)) {
    try {
      const state = decodeCheckpoint(bytes, config);
      if (furthest === undefined || state.nextOffset > furthest.nextOffset) furthest = state;
    } catch (error) {
      if (error instanceof FoldConfigChangedError) throw error;
      events.checkpointRefused(partition, error);
    }
  }
  return furthest ?? createFoldState(config.windowsMs.length);
}
