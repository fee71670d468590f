import { isUtf8 } from 'node:buffer';
import type { QuarantineEvent, QuarantineReason } from '../../event-log/quarantine-event.ts';
import { formatEventId } from './event-id.ts';
import { hexDump } from './hex-dump.ts';
import type { ListedEvent } from './quarantine-listing.ts';
import type { RedriveReport } from './redrive.ts';

/** Everything about one event, with its payload as text or else as a hex dump. */
export function formatEvent(listed: ListedEvent): string {
  const { id, logTime, deviceId, event } = listed;
  const { reason, detail, received, payload } = event;
  const isText = isUtf8(payload);
  const fields = {
    id: formatEventId(id),
    state: formatState(listed),
    quarantined: formatTime(logTime),
    received: formatTime(received),
    device: deviceId,
    reason,
    detail,
    origin: formatOrigin(event),
    payload: `${payload.length} bytes, ${isText ? 'text' : 'not UTF-8'}`,
  };
  const lines = Object.entries(fields).map(
    ([name, value]) => `${name.padEnd(11)}  ${withoutControls(value)}\n`,
  );
  const body = isText
    ? `${withoutControls(payload.toString('utf8'), /[^\P{Cc}\n\t]/gu)}\n`
    : hexDump(payload);
  return `${lines.join('')}${payload.length > 0 ? `\n${body}` : ''}`;
}

/** Where a payload came from, in one line. */
export function formatOrigin({ origin }: QuarantineEvent): string {
  if (origin.kind === 'mqtt') return `${origin.mqttTopic} (client ${origin.clientId})`;
  return `telemetry record ${origin.partition}/${origin.offset}, message ${origin.index}`;
}

function formatState({ redriven }: ListedEvent): string {
  if (redriven === undefined) return 'open';
  const { partition, offset } = redriven.record;
  return `redriven ${formatTime(redriven.at)} as telemetry record ${partition}/${offset}`;
}

/** What a redrive did, and what it left. */
export function formatReport(report: RedriveReport): string {
  const { redriven, alreadyRedriven, unrecognisable, unusable, examples } = report;
  const count = total(unusable);
  const reasons = count > 0 ? ` (${formatReasons(unusable)})` : '';
  const lines = [
    `${redriven} redriven, ${count} still unusable${reasons}, ${alreadyRedriven} already redriven`,
  ];
  for (const { id, reason, detail } of examples) {
    lines.push(`  ${formatEventId(id)}  ${reason}: ${withoutControls(detail)}`);
  }
  if (count > examples.length) lines.push(`  and ${count - examples.length} more`);
  if (unrecognisable > 0) {
    lines.push(
      `${unrecognisable} of those already redriven have messages with neither "seq" nor "ts", which would count again; --force redrives them all the same`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** `not_json 2, too_old 1`, the most frequent first. */
export function formatReasons(counts: ReadonlyMap<QuarantineReason, number>): string {
  const sorted = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  return sorted.map(([reason, count]) => `${reason} ${count}`).join(', ');
}

export function total(counts: ReadonlyMap<QuarantineReason, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** What devices send must not be able to steer the terminal. */
function withoutControls(text: string, controls = /\p{Cc}/gu): string {
  return text.replace(controls, '\ufffd');
}
