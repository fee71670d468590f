import { Writable } from 'node:stream';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { GatewayEvents } from './gateway-events.ts';

const STATE = {
  connections: 3,
  heldConnections: 1,
  pendingMessages: 2,
  pendingBytes: 900,
  isLogAvailable: true,
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function observe() {
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write(line, _encoding, done) {
      lines.push(JSON.parse(String(line)));
      done();
    },
  });
  const registry = new Registry();
  return { lines, registry, events: new GatewayEvents(pino(destination), registry, () => STATE) };
}

test('of many lines of a kind one is written in ten seconds, with how many it stands for', () => {
  const { lines, events } = observe();
  for (let i = 0; i < 5; i++) events.quarantined('empty', 'no bytes', 'a');
  events.quarantined('not_json', 'csv', 'b');
  vi.advanceTimersByTime(10_000);
  events.quarantined('empty', 'no bytes', 'c');
  expect(lines).toMatchObject([
    { reason: 'empty', deviceId: 'a', count: 1 },
    { reason: 'not_json', deviceId: 'b', count: 1 },
    { reason: 'empty', deviceId: 'c', count: 5 },
  ]);
});

test('every event is counted, and no metric is labelled with a device', async () => {
  const { registry, events } = observe();
  for (let i = 0; i < 3; i++) events.received();
  events.accepted();
  events.quarantined('empty', 'no bytes', 'device-7');
  events.refused('append_failed', new Error('down'), 'devices/device-7/telemetry');
  events.closed('message_refused', 'append_failed', 'device-7');
  events.acknowledged(20);
  const text = await registry.metrics();
  expect(text).toContain('sluice_gateway_received_messages_total 3');
  expect(text).toContain('sluice_gateway_accepted_messages_total 1');
  expect(text).toContain('sluice_gateway_quarantined_messages_total{reason="empty"} 1');
  expect(text).toContain('sluice_gateway_refused_messages_total{reason="append_failed"} 1');
  expect(text).toContain('sluice_gateway_closed_connections_total{reason="message_refused"} 1');
  expect(text).toContain('sluice_gateway_pending_bytes 900');
  expect(text).toContain('sluice_gateway_append_seconds_count 1');
  expect(text).not.toContain('device-7');
  expect(await registry.metrics()).toBe(text);
});
