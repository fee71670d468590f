import type { QoS } from '../fleet/device-link.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { LatencyFigures } from '../fleet/latency.ts';
import type { Difference } from './reconcile.ts';
import type { ReplayCheck } from './replay-check.ts';
import type { Comparison } from './settle.ts';

/** What a run found. Plain data; `version` changes when a field is removed or changes its meaning. */
export interface Verdict {
  readonly version: 1;
  /** Whether everything acknowledged is in the aggregates, and nothing else than was sent. */
  readonly ok: boolean;
  /** Why not, in sentences; empty when ok. */
  readonly reasons: readonly string[];
  readonly run: RunDescription;
  readonly messages: MessageCounts;
  /** Acknowledged MQTT messages per second (sent ones with QoS 0) over the run, and what the schedule offers. */
  readonly rate: { readonly intended: number; readonly achieved: number };
  /** From the time at which a message was due to its acknowledgement, ms; null with QoS 0. */
  readonly latencyMs: LatencyFigures | null;
  /** From the time at which a message was due to its first sending, ms. */
  readonly scheduleDelayMs: LatencyFigures | null;
  /** Messages sent more than 100 ms after they were due. */
  readonly overruns: number;
  readonly connectionsLost: number;
  readonly aggregates: AggregateCounts;
  /** Of a replay: its hours and windows against the file; null where that cannot be compared exactly. */
  readonly replay: ReplayCheck | null;
}

export interface RunDescription {
  readonly runId: string;
  /** The profile, or the file of a replay. */
  readonly source: string;
  readonly devices: number;
  readonly qos: QoS;
  readonly seed: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Until the last acknowledgement, or until it was no longer waited for, ms. */
  readonly durationMs: number;
  /** Whether a redelivered message that counts twice is permitted. */
  readonly allowDuplicates: boolean;
}

/** `due` to `repeated` count MQTT messages, the others device messages, of which an MQTT message may carry several. */
export interface MessageCounts {
  readonly due: number;
  readonly sent: number;
  /** Due, yet not sent before the run ended. */
  readonly unsent: number;
  readonly acknowledged: number;
  /** Sent but never acknowledged (all, with QoS 0): they may or may not be in the aggregates. */
  readonly unknown: number;
  /** Unacknowledged when a connection broke, and so perhaps delivered twice. */
  readonly repeated: number;
  /** Acknowledged but not in the aggregates. */
  readonly missing: number;
  readonly countedTwice: number;
  /** Never acknowledged, yet in the aggregates. */
  readonly unknownCounted: number;
}

export interface AggregateCounts {
  /** Whether they were complete before the settle timeout. */
  readonly complete: boolean;
  /** How long they were waited for after the run, ms. */
  readonly waitedMs: number;
  readonly compared: number;
  readonly differing: number;
  /** The first twenty that are missing readings, count some twice, or differ. */
  readonly differences: readonly Difference[];
}

/** Draws the verdict. Pure apart from reading the fleet's figures. */
export function drawVerdict(
  run: RunDescription,
  fleet: Fleet,
  comparison: Comparison,
  replay: ReplayCheck | null,
): Verdict {
  const { due, sent, acknowledged } = fleet.progress();
  const { missing, countedTwice, unknownCounted, ...aggregates } = comparison;
  const messages: MessageCounts = {
    due,
    sent,
    unsent: due - sent,
    acknowledged,
    unknown: sent - acknowledged,
    repeated: fleet.ledger.totalRepeated,
    missing,
    countedTwice,
    unknownCounted,
  };
  const reasons = reasonsOf(run, messages, comparison, replay);
  const seconds = Math.max(run.durationMs, 1) / 1_000;
  return {
    version: 1,
    ok: reasons.length === 0,
    reasons,
    run,
    messages,
    rate: { intended: fleet.intendedRate, achieved: (run.qos === 0 ? sent : acknowledged) / seconds },
    latencyMs: fleet.latency.figures(),
    scheduleDelayMs: fleet.scheduleDelay.figures(),
    overruns: fleet.overruns,
    connectionsLost: fleet.connectionsLost,
    aggregates,
    replay,
  };
}

function reasonsOf(
  { qos, allowDuplicates }: RunDescription,
  { acknowledged, missing, countedTwice, unknownCounted }: MessageCounts,
  { differing }: Comparison,
  replay: ReplayCheck | null,
): string[] {
  const reasons: string[] = [];
  if (qos > 0 && acknowledged === 0) reasons.push('nothing was acknowledged');
  if (qos === 0 && unknownCounted === 0) reasons.push('nothing that was sent is in the aggregates');
  if (missing > 0) reasons.push(`acknowledged messages missing from the aggregates: ${missing}`);
  if (countedTwice > 0 && !allowDuplicates) reasons.push(`messages counted twice: ${countedTwice}`);
  if (differing > 0) reasons.push(`aggregates that differ from what was sent: ${differing}`);
  if (replay !== null && replay.differing > 0) {
    reasons.push(`buckets of the replay that differ from the file: ${replay.differing}`);
  }
  return reasons;
}
