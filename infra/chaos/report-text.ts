import type { FaultOutcome } from './execution.ts';
import type { Figures, Report } from './report.ts';
import type { Verification } from './verification.ts';

const LABEL_WIDTH = 18;

/** The report as people read it. */
export function formatReport(report: Report): string {
  const { options, verdict } = report;
  const { latencyMs } = verdict;
  const lines = [
    row('run', `${options.engine}, seed ${options.seed}, ${options.seconds} s, ${options.devices} devices`),
    ...report.outcomes.map(outcomeRow),
    row('faults', tally(report.faultsByKind)),
    row('kills', `${sumOf(report.killsByKind)} in all: ${tally(report.killsByKind)}`),
    row('restarts', `${sumOf(report.restarts)} in all: ${tally(report.restarts)}`),
    ...messageRows(report),
    row(
      'latency',
      latencyMs === null
        ? 'none'
        : `p50 ${seconds(latencyMs.p50)}, p99 ${seconds(latencyMs.p99)}, max ${seconds(latencyMs.max)} from due to acknowledged`,
    ),
    row('connections', `lost ${count(verdict.connectionsLost)} times`),
    ...findingRows(report),
    ...verificationRows(report.verification),
    ...recoveryRows(report.recovery),
    row('harness', resources(report.resources)),
    ...Object.entries(report.errorsLogged).map(([message, times]) =>
      row('  error logged', `${times} x ${message.slice(0, 300)}`),
    ),
    row('verdict', report.ok ? 'PASS' : `FAIL: ${report.reasons.join('; ')}`),
    row('again', report.command),
  ];
  return `${lines.join('\n')}\n`;
}

function messageRows({ verdict: { messages, rate } }: Report): string[] {
  const { sent, acknowledged, repeated, due } = messages;
  return [
    row('messages', `${count(sent)} sent of ${count(due)} due, ${count(acknowledged)} acknowledged`),
    row('', `${count(repeated)} on the way when a connection broke`),
    row('rate', `${count(rate.achieved)} msg/s acknowledged, ${count(rate.intended)} intended`),
  ];
}

function findingRows({ options, verdict: { messages, aggregates } }: Report): string[] {
  return [
    row('missing', count(messages.missing)),
    row('counted twice', `${count(messages.countedTwice)}${options.allowDuplicates ? ' (permitted)' : ''}`),
    row('differing', `${count(aggregates.differing)} of ${count(aggregates.compared)} aggregates`),
  ];
}

function verificationRows(verification: Verification): string[] {
  const { kind, text } = verification;
  const told = kind === 'agrees' ? [] : text.split('\n').map((line) => row('', line));
  if (kind === 'failed') return [row('sluice verify', kind), ...told];
  const { messages, windows } = verification.balance;
  const { accepted, aggregated, duplicates, quarantined } = messages;
  const compared = windows.map((size) => `${count(size.compared)} of ${size.resolutionMs / 1_000} s`);
  return [
    row('sluice verify', kind),
    row(
      '  balance',
      `${count(accepted)} in the log = ${count(aggregated)} aggregated + ${count(duplicates)} duplicate + ${count(quarantined)} quarantined`,
    ),
    row('  windows', `${compared.join(', ')} compared`),
    ...told,
  ];
}

function resources({ peakMemoryBytes, storedBytes }: Report['resources']): string {
  return `${count(peakMemoryBytes / 2 ** 20)} MiB of memory at most; ${count(storedBytes / 2 ** 20)} MiB stored`;
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, times) => sum + times, 0);
}

function outcomeRow({ fault, beganMs, healedMs, readyMs, caughtUpMs }: FaultOutcome): string {
  const ready = readyMs === null ? 'not ready again' : `ready ${seconds(readyMs - healedMs)} later`;
  const caughtUp =
    caughtUpMs === null ? 'not caught up' : `caught up ${seconds(caughtUpMs - healedMs)} later`;
  const what = `${fault.kind} ${fault.target}`.padEnd(32);
  return row(`  ${seconds(beganMs)}`, `${what} for ${seconds(healedMs - beganMs)}, ${ready}, ${caughtUp}`);
}

function recoveryRows({
  killToReady,
  restartToReady,
  healedToCaughtUp,
  undisturbed,
  notCaughtUp,
}: Report['recovery']): string[] {
  return [
    row('kill to ready', figures(killToReady)),
    row('restart to ready', figures(restartToReady)),
    row(
      'time to recover',
      `${figures(healedToCaughtUp)}; from the end of a fault to caught up; ${notCaughtUp} not caught up`,
    ),
    row('  undisturbed', figures(undisturbed)),
  ];
}

function figures(given: Figures | null): string {
  return given === null
    ? 'none'
    : `p50 ${seconds(given.p50Ms)}, max ${seconds(given.maxMs)} (${given.count})`;
}

function tally(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([name, times]) => `${times} x ${name}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function row(label: string, text: string): string {
  return `${label.padEnd(LABEL_WIDTH)}${text}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 100 ? 3 : 1)} s`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
