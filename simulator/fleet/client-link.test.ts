import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestBroker } from '../broker.fixture.ts';
import { createClientLinks } from './client-link.ts';
import type { DeviceLink } from './device-link.ts';

const topic = 'devices/d/telemetry';
const patiently = { timeout: 10_000 };
let broker: TestBroker | undefined;
let link: DeviceLink | undefined;

afterEach(async () => {
  await link?.close();
  await broker?.kill();
});

describe.each([1, 2] as const)('the mqtt client behind a link with QoS %i', (qos) => {
  it('sends again one at a time without DUP, and is ready only when that is acknowledged', async () => {
    broker = await TestBroker.open();
    const { received } = broker;
    let answering = false;
    let duplicates = 0;
    broker.authorizePublish = (_client, packet, callback) => {
      if (packet.dup) duplicates++;
      if (answering) callback(null);
    };
    const acknowledged: number[] = [];
    const opened = createClientLinks(broker.url)(
      { deviceId: 'd', qos, reconnectMs: 50 },
      { ready() {}, lost() {}, failed() {}, acknowledged: (token) => acknowledged.push(token) },
    );
    link = opened;
    await vi.waitFor(() => expect(opened.ready).toBe(true), patiently);
    for (const [token, payload] of ['a', 'b', 'c'].entries()) opened.publish(Buffer.from(payload), token);
    await vi.waitFor(() => expect(received.get(topic)).toEqual(['a', 'b', 'c']), patiently);

    await broker.kill();
    await vi.waitFor(() => expect(opened.ready).toBe(false), patiently);
    await broker.start();
    await vi.waitFor(() => expect(received.get(topic)).toEqual(['a', 'b', 'c', 'a']), patiently);
    expect(opened.ready).toBe(false);

    await broker.kill();
    answering = true;
    await broker.start();
    await vi.waitFor(() => expect(opened.ready).toBe(true), patiently);
    expect(received.get(topic)).toEqual(['a', 'b', 'c', 'a', 'a', 'b', 'c']);
    expect([acknowledged, duplicates]).toEqual([[0, 1, 2], 0]);
  });
});
