import type { EventLog } from '../../event-log/event-log.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../checkpoint.ts';
import { ProcessorError } from '../errors.ts';
import type { FoldConfig } from '../fold-config.ts';
import { createFoldState, type FoldState } from '../fold-state.ts';

/** The group under which a replay of a range, in ms since the epoch, keeps its checkpoints. */
export function replayGroup(from: number, to: number): string {
  return `replay-${from}-${to}`;
}

/**
 * Where an interrupted replay was in a partition whose records end at `end`; undefined when there is none to go on with:
 * none was begun or the last one finished, its settings or its log were others, or its checkpoints are damaged.
 */
export async function loadReplay(
  log: EventLog,
  group: string,
  partition: number,
  config: FoldConfig,
  end: bigint,
): Promise<FoldState | undefined> {
  for (const bytes of await log.loadCheckpoints(group, partition)) {
    try {
      const state = decodeCheckpoint(bytes, config);
      return state.nextOffset === 0n || state.nextOffset > end ? undefined : state;
    } catch (error) {
      if (!(error instanceof ProcessorError)) throw error;
    }
  }
  return undefined;
}

/** Makes the next replay of the range begin again. Checkpoints cannot be removed: a state before all records says so. */
export async function forgetReplay(
  log: EventLog,
  group: string,
  partition: number,
  config: FoldConfig,
): Promise<void> {
  const beginning = createFoldState(config.windowsMs.length);
  await log.saveCheckpoint(group, partition, encodeCheckpoint(beginning, config));
}
