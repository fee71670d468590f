import { expect, test } from 'vitest';
import type { QuarantineEvent } from '../../event-log/quarantine-event.ts';
import { formatListing, plainListing } from './listing-text.ts';
import type { ListedEvent } from './quarantine-listing.ts';
import { formatEvent, formatReport } from './quarantine-text.ts';

const NOON = Date.UTC(2026, 0, 31, 12);

function listed(changes: Partial<QuarantineEvent> = {}, rest: Partial<ListedEvent> = {}): ListedEvent {
  const event: QuarantineEvent = {
    reason: 'not_json',
    detail: 'not JSON (Unexpected end of JSON input)',
    origin: { kind: 'mqtt', mqttTopic: 'devices/boiler-7/telemetry', clientId: 'client-1' },
    received: NOON - 5,
    payload: Buffer.from('{"metrics":\n'),
    ...changes,
  };
  const id = { partition: 3, offset: 1_042n };
  return { id, logTime: NOON, deviceId: 'boiler-7', event, redriven: undefined, ...rest };
}

test('an event is shown with everything there is, its payload as text', () => {
  expect(formatEvent(listed())).toBe(`\
id           3/1042
state        open
quarantined  2026-01-31T12:00:00.000Z
received     2026-01-31T11:59:59.995Z
device       boiler-7
reason       not_json
detail       not JSON (Unexpected end of JSON input)
origin       devices/boiler-7/telemetry (client client-1)
payload      12 bytes, text

{"metrics":

`);
});

test('a payload that is not UTF-8 is dumped', () => {
  const redriven = { offset: 1_042n, at: NOON + 1, record: { partition: 5, offset: 88n } };
  const origin = { kind: 'record', partition: 2, offset: 17n, index: 4 } as const;
  const text = formatEvent(listed({ origin, payload: Buffer.from([0x7b, 0xff]) }, { redriven }));
  expect(text).toContain('state        redriven 2026-01-31T12:00:00.001Z as telemetry record 5/88\n');
  expect(text).toContain('origin       telemetry record 2/17, message 4\n');
  expect(text).toContain('payload      2 bytes, not UTF-8\n\n00000000  7b ff ');
});

test('no payload is shown as such', () => {
  expect(formatEvent(listed({ payload: Buffer.alloc(0) }))).toMatch(/\npayload {6}0 bytes, text\n$/);
});

test('what a device sent cannot steer the terminal', () => {
  const evil = '\u001b[2J\u009b1m';
  const origin = { kind: 'mqtt', mqttTopic: `x/${evil}`, clientId: evil } as const;
  const text = formatEvent(
    listed({ detail: evil, origin, payload: Buffer.from(`${evil}\t\n`) }, { deviceId: evil }),
  );
  expect(text).not.toMatch(/[^\P{Cc}\n\t]/u);
  expect(text).toContain('\t\n');
});

test('a listing says what it leaves out', () => {
  const formatTable = (headings: readonly string[], rows: readonly (readonly string[])[]) =>
    `${[headings, ...rows].map((cells) => cells.join(' ')).join('\n')}\n`;
  expect(formatListing({ events: [listed()], matching: 3, unreadable: 2 }, { formatTable })).toBe(`\
ID STATE TIME (UTC) REASON DEVICE ORIGIN DETAIL
3/1042 open 2026-01-31T12:00:00.000Z not_json boiler-7 devices/boiler-7/telemetry (client client-1) not JSON (Unexpected end of JSON input)
the newest 1 of 3
2 records cannot be read by this version
`);
  expect(formatListing({ events: [], matching: 0, unreadable: 0 }, { formatTable })).toBe(
    'nothing was quarantined\n',
  );
});

test('a listing for machines has offsets as texts', () => {
  const origin = { kind: 'record', partition: 2, offset: 9_007_199_254_740_993n, index: 4 } as const;
  const redriven = { offset: 1_042n, at: NOON + 1, record: { partition: 5, offset: 88n } };
  const listing = { events: [listed({ origin }, { redriven })], matching: 1, unreadable: 0 };
  expect(plainListing(listing)).toEqual({
    events: [
      {
        id: '3/1042',
        state: 'redriven',
        time: NOON,
        received: NOON - 5,
        reason: 'not_json',
        deviceId: 'boiler-7',
        origin: { kind: 'record', partition: 2, offset: '9007199254740993', index: 4 },
        detail: 'not JSON (Unexpected end of JSON input)',
      },
    ],
    matching: 1,
    unreadable: 0,
  });
});

test('a report counts everything, and shows the first that are still unusable', () => {
  const examples = [{ id: { partition: 0, offset: 4n }, reason: 'not_json', detail: 'not JSON' } as const];
  const report = {
    redriven: 12,
    alreadyRedriven: 4,
    unrecognisable: 1,
    unusable: new Map([['too_old', 1] as const, ['not_json', 2] as const]),
    examples,
  };
  expect(formatReport(report)).toBe(`\
12 redriven, 3 still unusable (not_json 2, too_old 1), 4 already redriven
  0/4  not_json: not JSON
  and 2 more
1 of those already redriven have messages with neither "seq" nor "ts", which would count again; --force redrives them all the same
`);
});
