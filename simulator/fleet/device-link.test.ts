import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestBroker } from '../broker.fixture.ts';
import { DeviceLink, type QoS } from './device-link.ts';

const topic = 'devices/d/telemetry';
const patiently = { timeout: 10_000 };
let broker: TestBroker | undefined;
let link: DeviceLink | undefined;

afterEach(async () => {
  await link?.close();
  await broker?.kill();
});

/** A link that counts what happens to it. */
function openLink(url: string, qos: QoS) {
  const seen = { ready: 0, lost: 0, failures: 0, acknowledged: new Set<string>() };
  link = new DeviceLink(
    { url, deviceId: 'd', qos, reconnectMs: 50 },
    { ready: () => seen.ready++, lost: () => seen.lost++, failed: () => seen.failures++ },
  );
  const opened = link;
  const publish = (payload: string) => opened.publish(payload, () => seen.acknowledged.add(payload));
  return { link: opened, seen, publish };
}

describe.each([1, 2] as const)('the mqtt client behind a link with QoS %i', (qos) => {
  it('sends again what was unacknowledged when the server died, in order, and is ready only after that', async () => {
    broker = await TestBroker.open();
    const { received } = broker;
    let answering = false;
    let duplicates = 0;
    broker.authorizePublish = (_client, packet, callback) => {
      if (packet.dup) duplicates++;
      if (answering) callback(null);
    };
    const { link, seen, publish } = openLink(broker.url, qos);
    await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
    for (const payload of ['a', 'b', 'c']) publish(payload);
    await vi.waitFor(() => expect(received.get(topic)).toEqual(['a', 'b', 'c']), patiently);

    await broker.kill();
    await vi.waitFor(() => expect(link.ready).toBe(false), patiently);
    expect([link.inFlight, seen.acknowledged.size]).toEqual([3, 0]);
    await broker.start();
    await vi.waitFor(() => expect(received.get(topic)).toEqual(['a', 'b', 'c', 'a']), patiently);
    expect(link.ready).toBe(false);

    await broker.kill();
    answering = true;
    await broker.start();
    await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
    expect(received.get(topic)).toEqual(['a', 'b', 'c', 'a', 'a', 'b', 'c']);
    expect([...seen.acknowledged]).toEqual(['a', 'b', 'c']);
    expect([link.inFlight, seen.ready, seen.lost, duplicates]).toEqual([0, 2, 1, 0]);
  });
});

describe('a link', () => {
  it('is done with QoS 0 messages when the socket took them, and with those of a lost connection at its loss', async () => {
    broker = await TestBroker.open();
    const { link, seen, publish } = openLink(broker.url, 0);
    await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
    publish('a');
    await vi.waitFor(() => expect(seen.acknowledged.size).toBe(1), patiently);
    publish('x'.repeat(5_000_000));
    await broker.kill();
    await vi.waitFor(() => expect(seen.lost).toBe(1), patiently);
    expect(link.inFlight).toBe(0);
  });

  it('closes while nobody answers', async () => {
    broker = await TestBroker.open();
    broker.authorizePublish = () => {};
    const { link, publish } = openLink(broker.url, 1);
    await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
    publish('a');
    await link.close();
    expect(link.inFlight).toBe(1);
  });
});
