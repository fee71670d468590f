import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestBroker } from '../broker.fixture.ts';
import type { DeviceLink, LinkOpener, QoS } from './device-link.ts';

const topic = 'devices/d/telemetry';
const patiently = { timeout: 10_000 };

/** What every link does, against a real broker. */
export function describeDeviceLink(name: string, openerFor: (url: string) => LinkOpener): void {
  describe(`a ${name} link`, () => {
    let broker: TestBroker | undefined;
    let link: DeviceLink | undefined;

    afterEach(async () => {
      await link?.close();
      await broker?.kill();
    });

    /** A link that counts what happens to it; the token of a payload is its place among those published. */
    function openLink(url: string, qos: QoS) {
      const seen = { ready: 0, lost: 0, failures: 0, acknowledged: [] as string[] };
      const published: string[] = [];
      const opened = openerFor(url)(
        { deviceId: 'd', qos, reconnectMs: 50 },
        {
          ready: () => seen.ready++,
          lost: () => seen.lost++,
          failed: () => seen.failures++,
          acknowledged: (token) => seen.acknowledged.push(published[token] ?? '?'),
        },
      );
      link = opened;
      const publish = (payload: string) => opened.publish(Buffer.from(payload), published.push(payload) - 1);
      return { link: opened, seen, publish };
    }

    it.each<QoS>([0, 1, 2])('sends messages in order and hears of each once, with QoS %i', async (qos) => {
      broker = await TestBroker.open();
      const { link, seen, publish } = openLink(broker.url, qos);
      await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
      const payloads = Array.from({ length: 500 }, (_, n) => `${n}${'ü'.repeat(n)}`);
      for (const payload of payloads) publish(payload);
      await vi.waitFor(() => expect(seen.acknowledged).toHaveLength(500), patiently);
      await vi.waitFor(() => expect(broker?.received.get(topic)).toHaveLength(500), patiently);
      expect(broker.received.get(topic)).toEqual(payloads);
      expect(seen).toEqual({ ready: 1, lost: 0, failures: 0, acknowledged: payloads });
      expect(link.inFlight).toBe(0);
    });

    it.each<QoS>([1, 2])(
      'sends again in order what was unacknowledged when the server died, with QoS %i',
      async (qos) => {
        broker = await TestBroker.open();
        const { received } = broker;
        broker.authorizePublish = () => {};
        const { link, seen, publish } = openLink(broker.url, qos);
        await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
        for (const payload of ['a', 'b', 'c']) publish(payload);
        await vi.waitFor(() => expect(received.get(topic)).toEqual(['a', 'b', 'c']), patiently);

        await broker.kill();
        await vi.waitFor(() => expect(link.ready).toBe(false), patiently);
        expect([link.inFlight, seen.acknowledged.length, seen.lost]).toEqual([3, 0, 1]);
        broker.authorizePublish = (_client, _packet, callback) => callback(null);
        received.clear();
        await broker.start();
        await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
        publish('d');
        await vi.waitFor(() => expect(seen.acknowledged).toEqual(['a', 'b', 'c', 'd']), patiently);
        expect(received.get(topic)).toEqual(['a', 'b', 'c', 'd']);
        expect([link.inFlight, seen.ready, seen.lost]).toEqual([0, 2, 1]);
      },
    );

    it('is done with QoS 0 messages of a lost connection at its loss', async () => {
      broker = await TestBroker.open();
      const { link, seen, publish } = openLink(broker.url, 0);
      await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
      publish('x'.repeat(5_000_000));
      await broker.kill();
      await vi.waitFor(() => expect(seen.lost).toBe(1), patiently);
      expect(link.inFlight).toBe(0);
    });

    it('waits for a server that is not there yet, or refuses', async () => {
      broker = await TestBroker.open();
      const { url } = broker;
      await broker.kill();
      const { link, seen } = openLink(url, 1);
      await vi.waitFor(() => expect(seen.failures).toBeGreaterThan(0), patiently);
      broker.refusals = 2;
      await broker.start();
      await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
      expect(broker.refusals).toBe(0);
      expect([seen.ready, seen.lost]).toEqual([1, 0]);
    });

    it('closes while nobody answers', async () => {
      broker = await TestBroker.open();
      broker.authorizePublish = () => {};
      const { link, publish } = openLink(broker.url, 1);
      await vi.waitFor(() => expect(link.ready).toBe(true), patiently);
      publish('a');
      await link.close();
      expect([link.ready, link.inFlight]).toEqual([false, 1]);
      await vi.waitFor(() => expect(broker?.connections).toBe(0), patiently);
    });
  });
}
