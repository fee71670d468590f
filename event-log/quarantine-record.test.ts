import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { encodeQuarantineEvent, UndecodableQuarantineEventError } from './quarantine-event.ts';
import { decodeQuarantineRecord, encodeRedriveMarker } from './quarantine-record.ts';

const FOLDER = new URL('fixtures/', import.meta.url);
const names = readdirSync(FOLDER).filter((name) => name.startsWith('redriven-'));

/** A fixture spells offsets as texts, which JSON cannot hold otherwise. */
function load(name: string) {
  const { value, marker } = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
  const record = { ...marker.record, offset: BigInt(marker.record.offset) };
  return { value, marker: { ...marker, offset: BigInt(marker.offset), record } };
}

test.each(names)('a marker as %s was written stays readable', (name) => {
  const { value, marker } = load(name);
  expect(decodeQuarantineRecord(Buffer.from(value))).toEqual({ kind: 'redriven', marker });
});

test('the present encoding of a marker is the one of redriven-v1.json', () => {
  const { value, marker } = load('redriven-v1.json');
  expect(encodeRedriveMarker(marker).toString()).toBe(value);
});

test('a quarantine event is no marker', () => {
  const event = {
    reason: 'not_json',
    detail: '"redriven" is not JSON',
    origin: { kind: 'mqtt', mqttTopic: 'devices/a/telemetry', clientId: 'a' },
    received: 5,
    payload: Buffer.from('{"redriven":'),
  } as const;
  expect(decodeQuarantineRecord(encodeQuarantineEvent(event))).toEqual({ kind: 'event', event });
});

test.each([
  ['not JSON', '{'],
  ['"detail" is not a text', '{"v":1}'],
  ['unknown marker version 2', '{"v":2,"redriven":"1","at":1,"record":{"partition":0,"offset":"0"}}'],
  ['"redriven" is not an offset', '{"v":1,"redriven":1,"at":1,"record":{"partition":0,"offset":"0"}}'],
  ['"at" is not a time in ms', '{"v":1,"redriven":"1","at":-1,"record":{"partition":0,"offset":"0"}}'],
  [
    '"record" is not the position of a record',
    '{"v":1,"redriven":"1","at":1,"record":{"partition":0,"offset":0}}',
  ],
])('%s: %s is refused', (message, value) => {
  expect(() => decodeQuarantineRecord(Buffer.from(value))).toThrow(
    expect.objectContaining({ name: UndecodableQuarantineEventError.name, message }),
  );
});
