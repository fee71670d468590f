import { formatCount, formatInstant, formatSize, printable } from '../plain-text.ts';
import type { Difference } from './differences.ts';
import type { MissingRange } from './missing-input.ts';
import type { WindowCounts } from './store-comparison.ts';
import type { VerifyResult } from './verify-result.ts';

const VERDICTS: Readonly<Record<VerifyResult['outcome'], string>> = {
  equal: 'EQUAL',
  different: 'DIFFERENT',
  unverifiable: 'CANNOT BE VERIFIED',
};
const LABEL_WIDTH = 15;

/** The result for people, each line ending with a line feed. */
export function formatResult(result: VerifyResult): string {
  const { records, messages, payloads, windows, missingInput, withoutCheckpoint, differences } = result;
  const { accepted, aggregated, duplicates, quarantined } = messages;
  const lines = [
    line('range', `windows that start from ${formatInstant(result.from)} to ${formatInstant(result.to)}`),
    line('log', `${formatCount(records)} records read`),
    line(
      'messages',
      `${formatCount(accepted)} accepted = ${formatCount(aggregated)} aggregated + ${formatCount(duplicates)} duplicate + ${formatCount(quarantined)} quarantined (log time in the range)`,
    ),
    line(
      'payloads',
      `${formatCount(payloads.accepted)} accepted + ${formatCount(payloads.quarantined)} quarantined by gateways; received and refused are not in the log: see sluice_gateway_received_messages_total and sluice_gateway_refused_messages_total at the gateways' /metrics`,
    ),
    ...windows.map((counts) =>
      line(`windows of ${formatSize(counts.resolutionMs)}`, describeWindows(counts)),
    ),
    ...withoutCheckpoint.map((partition) =>
      line('note', `partition ${partition} has no checkpoint and is taken as folded to its end`),
    ),
    ...missingInput.map((missing) => line('missing input', describeMissing(missing))),
    line('differences', describeTotal(differences)),
    ...differences.listed.map((difference) => line('', describeDifference(difference))),
    line('verdict', VERDICTS[result.outcome]),
  ];
  return `${lines.join('\n')}\n`;
}

function line(label: string, text: string): string {
  return `${label.padEnd(LABEL_WIDTH)}  ${text}`.trimEnd();
}

function describeWindows({ compared, open, expired }: WindowCounts): string {
  const notCompared = [
    ...(open > 0 ? [`${formatCount(open)} open`] : []),
    ...(expired > 0 ? [`${formatCount(expired)} beyond the retention of the store`] : []),
  ];
  const rest = notCompared.length === 0 ? '' : `; not compared: ${notCompared.join(', ')}`;
  return `${formatCount(compared)} compared${rest}`;
}

function describeMissing({ topic, partition, kind, from, to }: MissingRange): string {
  if (kind === 'expired') {
    return `${topic} partition ${partition}: records before offset ${to} are no longer kept, and the range needs them`;
  }
  return `${topic} partition ${partition}: offsets ${from} to ${to - 1n} are not there`;
}

function describeTotal({ total, listed }: VerifyResult['differences']): string {
  return total > listed.length ? `${formatCount(total)}, the first ${listed.length}:` : formatCount(total);
}

/** One difference on one line. */
export function describeDifference(difference: Difference): string {
  if (difference.kind === 'not quarantined') {
    const { deviceId, partition, offset, index, reason } = difference;
    return `not quarantined: message ${index} of partition ${partition} offset ${offset} of device ${printable(deviceId)}, though ${reason}`;
  }
  const { kind, deviceId, metric, resolutionMs, windowStart } = difference;
  const place = `device ${printable(deviceId)}, metric ${printable(metric)}, window of ${formatSize(resolutionMs)} from ${formatInstant(windowStart)}`;
  return `${kind}: ${place}: ${describeFigures(difference)}`;
}

function describeFigures(difference: Exclude<Difference, { readonly kind: 'not quarantined' }>): string {
  if (difference.kind === 'differing row') {
    return difference.fields
      .map(({ field, expected, seen }) => `${field} expected ${expected}, seen ${seen}`)
      .join('; ');
  }
  const isMissing = difference.kind === 'missing row';
  const { count, sum } = isMissing ? difference.expected : difference.seen;
  return `${isMissing ? 'expected' : 'seen'} count ${count}, sum ${sum}`;
}
