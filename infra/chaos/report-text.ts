import type { FaultOutcome } from './execution.ts';
import type { Figures, Report } from './report.ts';

const LABEL_WIDTH = 18;

/** The report as people read it. */
export function formatReport(report: Report): string {
  const { options, verdict, recovery, verification } = report;
  const { messages, aggregates, rate, latencyMs } = verdict;
  const lines = [
    row('run', `${options.engine}, seed ${options.seed}, ${options.seconds} s, ${options.devices} devices`),
    ...report.outcomes.map(outcomeRow),
    row('faults', tally(report.faultsByKind)),
    row('restarts', tally(report.restarts)),
    row(
      'messages',
      `${count(messages.acknowledged)} of ${count(messages.due)} acknowledged, ${count(messages.repeated)} on the way when a connection broke; ${count(rate.achieved)} msg/s of ${count(rate.intended)}`,
    ),
    row(
      'latency',
      latencyMs === null
        ? 'none'
        : `p50 ${seconds(latencyMs.p50)}, p99 ${seconds(latencyMs.p99)}, max ${seconds(latencyMs.max)} from due to acknowledged`,
    ),
    row('connections', `lost ${count(verdict.connectionsLost)} times`),
    row('missing', count(messages.missing)),
    row('counted twice', `${count(messages.countedTwice)}${options.allowDuplicates ? ' (permitted)' : ''}`),
    row('differing', `${count(aggregates.differing)} of ${count(aggregates.compared)} aggregates`),
    row('sluice verify', verification.kind),
    ...(verification.kind === 'agrees' ? [] : verification.text.split('\n').map((line) => row('', line))),
    ...recoveryRows(recovery),
    ...Object.entries(report.errorsLogged).map(([message, times]) =>
      row('  error logged', `${times} x ${message.slice(0, 300)}`),
    ),
    row('verdict', report.ok ? 'PASS' : `FAIL: ${report.reasons.join('; ')}`),
    row('again', report.command),
  ];
  return `${lines.join('\n')}\n`;
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
    row('end to caught up', `${figures(healedToCaughtUp)}; ${notCaughtUp} not caught up`),
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
