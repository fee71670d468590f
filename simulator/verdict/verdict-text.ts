import type { LatencyFigures } from '../fleet/latency.ts';
import type { Difference } from './reconcile.ts';
import type { BucketDifference } from './replay-check.ts';
import type { Tally } from './tally.ts';
import type { MessageCounts, Verdict } from './verdict.ts';

const LABEL_WIDTH = 14;

/** The verdict as a block for people, ending in a newline. */
export function formatVerdict(verdict: Verdict): string {
  const { run, messages, rate, aggregates, replay } = verdict;
  const lines = [
    row(
      'run',
      `${run.runId}: ${count(run.devices)} device(s), ${run.source}, QoS ${run.qos}, seed ${run.seed}`,
    ),
    row(
      'messages',
      `${count(messages.sent)} sent of ${count(messages.due)} due, ${count(messages.acknowledged)} acknowledged, ${unknown(messages)}`,
    ),
    row(
      'rate',
      `${count(rate.achieved)} msg/s over ${(run.durationMs / 1_000).toFixed(1)} s (offered ${count(rate.intended)})`,
    ),
    row(
      'latency',
      verdict.latencyMs === null ? 'none' : `${figures(verdict.latencyMs)} from due to acknowledged`,
    ),
    row(
      'sending',
      verdict.scheduleDelayMs === null
        ? 'none'
        : `${figures(verdict.scheduleDelayMs)} after due; ${count(verdict.overruns)} overruns`,
    ),
    ...connectionRow(verdict),
    row(
      'aggregates',
      `${count(aggregates.compared)} compared after ${(aggregates.waitedMs / 1_000).toFixed(1)} s: ${count(messages.missing)} messages missing, ${count(messages.countedTwice)} counted twice, ${count(aggregates.differing)} aggregates differ`,
    ),
    ...(replay === null
      ? []
      : [
          row(
            'against file',
            `${count(replay.hours)} hours and ${count(replay.windows)} windows compared: ${count(replay.differing)} differ`,
          ),
        ]),
    ...aggregates.differences.map(differenceRow),
    ...(replay?.differences ?? []).map(bucketRow),
    row('verdict', verdict.ok ? 'PASS' : `FAIL: ${verdict.reasons.join('; ')}`),
  ];
  return `${lines.join('\n')}\n`;
}

function row(label: string, text: string): string {
  return `${`${label} `.padEnd(LABEL_WIDTH)}${text}`;
}

function connectionRow({ connectionsLost, messages }: Verdict): string[] {
  if (connectionsLost === 0) return [];
  return [
    row(
      'connections',
      `lost ${count(connectionsLost)} times; ${count(messages.repeated)} messages were on the way and perhaps delivered twice`,
    ),
  ];
}

function differenceRow({ kind, deviceId, metric, expected, seen }: Difference): string {
  return row(
    `  ${kind}`,
    `${deviceId} ${metric}: expected ${tally(expected)}, seen ${seen === null ? 'nothing' : tally(seen)}`,
  );
}

function bucketRow({ bucketMs, start, expected, seen }: BucketDifference): string {
  const where = `${new Date(start).toISOString()} (${bucketMs} ms)`;
  return row('  bucket', `${where}: expected ${JSON.stringify(expected)}, seen ${JSON.stringify(seen)}`);
}

function tally({ count, sum, min, max }: Tally): string {
  return count === 0 ? 'nothing' : `count ${count} sum ${sum} min ${min} max ${max}`;
}

function unknown({ unknown, unknownCounted }: MessageCounts): string {
  return unknown === 0
    ? '0 unknown'
    : `${count(unknown)} unknown (${count(unknownCounted)} in the aggregates)`;
}

function figures({ p50, p99, max }: LatencyFigures): string {
  return `p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}, max ${milliseconds(max)}`;
}

/** Three significant digits. */
function milliseconds(ms: number): string {
  return ms >= 100 ? `${count(ms)} ms` : `${Number(ms.toPrecision(3))} ms`;
}

/** A whole number with its thousands apart. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
