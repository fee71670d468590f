import type { Commit } from '../event-log/event-log.ts';
import type { FoldConfig } from './fold.ts';
import { type FoldStart, START_OF_LOG } from './fold-state.ts';

/**
 * Where a partition's fold stands, as stored with the consumer group's commit. Reading resumes at `start`, the first
 * record that an open pane needs; everything that records below `outputFrom` produce is durable already, so it is
 * computed again (which rebuilds the open panes) but not written again.
 */
export interface FoldPosition {
  readonly start: FoldStart;
  readonly outputFrom: bigint;
}

/** The stored position was made by a fold of another configuration, so its open panes cannot be rebuilt exactly. */
export class FoldConfigChangedError extends Error {
  readonly code = 'PROCESSOR_FOLD_CONFIG_CHANGED';
  readonly retryable = false;
  override readonly name = 'FoldConfigChangedError';
}

/** The stored position is not one that this version wrote. */
export class FoldPositionError extends Error {
  readonly code = 'PROCESSOR_FOLD_POSITION';
  readonly retryable = false;
  override readonly name = 'FoldPositionError';
}

/** Names the parts of the configuration on which the content of panes depends. */
export function foldFingerprint({ windowMs, graceMs, maxAheadMs, maxAgeMs }: FoldConfig): string {
  return `window=${windowMs} grace=${graceMs} maxAhead=${maxAheadMs} maxAge=${maxAgeMs}`;
}

export function encodeFoldPosition(position: FoldPosition, config: FoldConfig): Commit {
  const { start, outputFrom } = position;
  const logTime = Number.isFinite(start.logTime) ? start.logTime : null;
  const metadata = JSON.stringify({
    v: 1,
    outputFrom: `${outputFrom}`,
    logTime,
    fold: foldFingerprint(config),
  });
  return { offset: start.offset, metadata };
}

/**
 * Decodes a commit; without one the fold starts at the start of the log. Throws `FoldConfigChangedError` or
 * `FoldPositionError`.
 */
export function decodeFoldPosition(commit: Commit | undefined, config: FoldConfig): FoldPosition {
  if (commit === undefined) return { start: START_OF_LOG, outputFrom: 0n };
  const { outputFrom, logTime, fold } = parse(commit.metadata);
  const expected = foldFingerprint(config);
  if (fold !== expected) {
    throw new FoldConfigChangedError(
      `the windows open at offset ${commit.offset} were folded with "${fold}", the configuration now says "${expected}"; ` +
        'restore those settings, or set processor.group to a new name to fold the whole log again with the new ones',
    );
  }
  const start: FoldStart = { offset: commit.offset, logTime: logTime ?? Number.NEGATIVE_INFINITY };
  return { start, outputFrom: BigInt(outputFrom) };
}

interface Metadata {
  readonly outputFrom: string;
  readonly logTime: number | null;
  readonly fold: string;
}

function parse(metadata: string): Metadata {
  let value: unknown;
  try {
    value = JSON.parse(metadata);
  } catch (cause) {
    throw new FoldPositionError(
      `the group's commit carries ${JSON.stringify(metadata)}, not a fold position`,
      { cause },
    );
  }
  if (!isMetadata(value)) {
    throw new FoldPositionError(
      `the group's commit carries ${JSON.stringify(metadata)}, not a fold position of version 1`,
    );
  }
  return value;
}

function isMetadata(value: unknown): value is Metadata {
  if (typeof value !== 'object' || value === null) return false;
  const { v, outputFrom, logTime, fold } = value as Partial<Record<string, unknown>>;
  return (
    v === 1 &&
    typeof outputFrom === 'string' &&
    /^\d+$/.test(outputFrom) &&
    (logTime === null || typeof logTime === 'number') &&
    typeof fold === 'string'
  );
}
