import type { FaultOutcome } from './execution.ts';
import { type Engine, type FaultKind, ruleOf } from './fault.ts';
import type { LoadVerdict } from './load.ts';
import type { Balance, Verification } from './verification.ts';

/** What one run is asked to do. */
export interface RunOptions {
  readonly engine: Engine;
  readonly seed: number;
  readonly seconds: number;
  readonly rate: number;
  readonly devices: number;
  readonly allowDuplicates: boolean;
}

/** What a run saw. */
export interface Findings {
  readonly options: RunOptions;
  readonly outcomes: readonly FaultOutcome[];
  readonly verdict: LoadVerdict;
  readonly verification: Verification;
  /** Starts beyond the first, by process. */
  readonly restarts: Readonly<Record<string, number>>;
  /** Roles that ended though nobody ended them. */
  readonly crashes: readonly string[];
  /** Roles that did not end with exit code 0 when asked to at the end. */
  readonly uncleanStops: readonly string[];
  readonly errorsLogged: Readonly<Record<string, number>>;
  readonly resources: Resources;
}

/** What the run itself took, bytes. */
export interface Resources {
  /** Memory that the harness had at most; roles, servers and devices have their own. */
  readonly peakMemoryBytes: number;
  /** What all of them had stored at the end. */
  readonly storedBytes: number;
}

export interface Report extends Findings {
  readonly version: 1;
  /** Whether nothing is missing, counted twice or different, `sluice verify` agrees, and no role crashed. */
  readonly ok: boolean;
  /** Why not, in sentences; empty when ok. */
  readonly reasons: readonly string[];
  /** The same run again. */
  readonly command: string;
  readonly killsByKind: Readonly<Record<string, number>>;
  readonly faultsByKind: Readonly<Record<string, number>>;
  readonly recovery: Recovery;
}

export interface Recovery {
  /** From SIGKILL to `/health/ready`, the time that it was left dead included; and from its restart. */
  readonly killToReady: Figures | null;
  readonly restartToReady: Figures | null;
  /** From the end of a fault of any kind to processors that have caught up. */
  readonly healedToCaughtUp: Figures | null;
  /** The same, only of faults during whose time and recovery no other happened. */
  readonly undisturbed: Figures | null;
  /** Faults whose end was not followed by processors that have caught up. */
  readonly notCaughtUp: number;
}

export interface Figures {
  readonly count: number;
  readonly p50Ms: number;
  readonly maxMs: number;
}

/** Of the messages that were asked for. The fleet starts its schedule with the run and ends it a little sooner. */
const LEAST_SHARE_DUE = 0.99;

/** Draws up the report. Pure. */
export function drawReport(findings: Findings): Report {
  const reasons = reasonsOf(findings);
  return {
    version: 1,
    ok: reasons.length === 0,
    reasons,
    command: commandOf(findings.options),
    killsByKind: countKinds(findings.outcomes.filter(({ fault }) => isKill(fault.kind))),
    faultsByKind: countKinds(findings.outcomes),
    recovery: recoveryOf(findings.outcomes),
    ...findings,
  };
}

function reasonsOf(findings: Findings): string[] {
  const { verdict, verification, outcomes, crashes, uncleanStops } = findings;
  const reasons = messageReasons(findings);
  if (!verdict.ok && reasons.length === 0) reasons.push(...verdict.reasons);
  if (verification.kind === 'disagrees') reasons.push('sluice verify finds differences');
  if (verification.kind === 'failed') reasons.push('sluice verify could not compare');
  else reasons.push(...balanceReasons(verdict.messages, verification.balance));
  if (outcomes.length === 0) reasons.push('nothing was hurt');
  const broken = outcomes.filter(({ error }) => error !== null);
  reasons.push(...broken.map(({ fault, error }) => `after ${fault.kind} of ${fault.target}: ${error}`));
  reasons.push(...crashes.map((crash) => `ended by itself: ${crash}`));
  reasons.push(...uncleanStops.map((stop) => `did not stop cleanly: ${stop}`));
  return reasons;
}

function messageReasons({ options, verdict }: Findings): string[] {
  const { messages, aggregates } = verdict;
  const reasons: string[] = [];
  if (messages.acknowledged === 0) reasons.push('nothing was acknowledged');
  const intended = options.rate * options.seconds;
  if (messages.due < intended * LEAST_SHARE_DUE)
    reasons.push(`the load ended early: ${messages.due} messages of ${intended}`);
  if (messages.missing > 0) reasons.push(`acknowledged messages missing: ${messages.missing}`);
  if (messages.countedTwice > 0 && !options.allowDuplicates)
    reasons.push(`messages counted twice: ${messages.countedTwice}`);
  if (aggregates.differing > 0) reasons.push(`aggregates that differ: ${aggregates.differing}`);
  if (messages.unsent + messages.unknown > 0)
    reasons.push(
      `messages not acknowledged after all faults had ended: ${messages.unsent + messages.unknown}`,
    );
  return reasons;
}

/** That the store agrees with the log says little unless the log has every message, each of them once but for duplicates. */
function balanceReasons(
  { acknowledged, unknown }: LoadVerdict['messages'],
  { messages, windows }: Balance,
): string[] {
  const reasons: string[] = [];
  const { aggregated } = messages;
  if (aggregated < acknowledged || aggregated > acknowledged + unknown)
    reasons.push(`the log has ${aggregated} messages that count, acknowledged were ${acknowledged}`);
  if (windows.every(({ compared }) => compared === 0)) reasons.push('sluice verify compared no windows');
  return reasons;
}

/** How to run the same again. */
export function commandOf({ engine, seed, seconds, rate, devices, allowDuplicates }: RunOptions): string {
  const flags = `--engine ${engine} --seed ${seed} --seconds ${seconds} --rate ${rate} --devices ${devices}`;
  return `npm run chaos -- ${flags}${allowDuplicates ? ' --allow-duplicates' : ''}`;
}

function countKinds(outcomes: readonly FaultOutcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { fault } of outcomes) counts[fault.kind] = (counts[fault.kind] ?? 0) + 1;
  return counts;
}

function recoveryOf(outcomes: readonly FaultOutcome[]): Recovery {
  const kills = outcomes.filter(({ fault }) => isRoleKill(fault.kind));
  const after = (from: 'beganMs' | 'healedMs', to: 'readyMs' | 'caughtUpMs') => (outcome: FaultOutcome) =>
    outcome[to] === null ? [] : [outcome[to] - outcome[from]];
  const calm = outcomes.filter((outcome) => !isDisturbed(outcome, outcomes));
  return {
    killToReady: figuresOf(kills.flatMap(after('beganMs', 'readyMs'))),
    restartToReady: figuresOf(kills.flatMap(after('healedMs', 'readyMs'))),
    healedToCaughtUp: figuresOf(outcomes.flatMap(after('healedMs', 'caughtUpMs'))),
    undisturbed: figuresOf(calm.flatMap(after('healedMs', 'caughtUpMs'))),
    notCaughtUp: outcomes.filter(({ caughtUpMs }) => caughtUpMs === null).length,
  };
}

function isKill(kind: FaultKind): boolean {
  const rule = ruleOf(kind);
  return rule.on === 'process' && rule.verb === 'kill';
}

function isRoleKill(kind: FaultKind): boolean {
  return isKill(kind) && !['kafka', 'influxdb'].includes(ruleOf(kind).targets[0] ?? '');
}

function isDisturbed(outcome: FaultOutcome, outcomes: readonly FaultOutcome[]): boolean {
  const endMs = outcome.caughtUpMs ?? Number.POSITIVE_INFINITY;
  return outcomes.some(
    (other) =>
      other !== outcome && other.beganMs < endMs && (other.caughtUpMs ?? other.healedMs) > outcome.beganMs,
  );
}

function figuresOf(values: readonly number[]): Figures | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return {
    count: sorted.length,
    p50Ms: sorted[Math.floor((sorted.length - 1) / 2)] ?? 0,
    maxMs: sorted.at(-1) ?? 0,
  };
}
