import type { Difference } from './differences.ts';
import type { MissingRange } from './missing-input.ts';
import type { WindowCounts } from './store-comparison.ts';

/** Up to where a partition is folded. */
export interface FoldedPosition {
  /** Records below are folded, and what came of them is durable. */
  readonly nextOffset: bigint;
  /** The log time reached, ms since the epoch. */
  readonly logTime: number;
}

/** What verifying a range found. */
export interface VerifyResult {
  /** Windows that start in [from, to), ms since the epoch. */
  readonly from: number;
  readonly to: number;
  /** `unverifiable`: input is missing, or no window of the range is complete. */
  readonly outcome: 'equal' | 'different' | 'unverifiable';
  /** Telemetry records read. */
  readonly records: number;
  /** Device messages whose log time lies in the range: accepted = aggregated + duplicates + quarantined. */
  readonly messages: {
    readonly accepted: number;
    readonly aggregated: number;
    readonly duplicates: number;
    readonly quarantined: number;
  };
  /** Payloads of that time which gateways have put into the log, by topic. */
  readonly payloads: { readonly accepted: number; readonly quarantined: number };
  readonly windows: readonly WindowCounts[];
  readonly missingInput: readonly MissingRange[];
  /** Partitions of which no checkpoint tells how far they are folded. */
  readonly withoutCheckpoint: readonly number[];
  readonly differences: { readonly total: number; readonly listed: readonly Difference[] };
}

/** The result as JSON text; offsets as decimal texts. */
export function toJson(result: VerifyResult): string {
  return `${JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? value.toString() : value), 2)}\n`;
}
