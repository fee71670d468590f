import mqtt from 'mqtt';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from './eventually.fixture.ts';
import { TestGateway, type TestGatewayOptions } from './gateway.fixture.ts';
import {
  connectPacket,
  publishPacket,
  pubrelPacket,
  RawDevice,
  roundTrip,
  subscribePacket,
} from './raw-device.fixture.ts';

let bench: TestGateway;

async function open(options?: TestGatewayOptions): Promise<TestGateway> {
  bench = await TestGateway.open(options);
  return bench;
}

afterEach(() => bench.close());

describe('QoS 1', () => {
  test('may follow CONNECT in the same segment', async () => {
    const { gateway } = await open();
    const device = await RawDevice.dial(gateway.port);
    device.send(
      connectPacket(device.clientId, { clean: false }),
      publishPacket(device.clientId, { seq: 7, messageId: 7 }),
    );
    await eventually(() => expect(device.ids('puback')).toEqual([7]));
    expect(device.received.map(({ cmd }) => cmd)).toEqual(['connack', 'puback']);
  });

  test('is acknowledged only after the append is durable', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish({ seq: 7 });
    await eventually(() => expect(log.held).toBe(1));
    await roundTrip(device);
    expect(device.ids('puback')).toEqual([]);
    log.behaviour = 'pass';
    await eventually(() => expect(device.ids('puback')).toEqual([7]));
    expect(bench.seqs).toEqual([7]);
  });

  test('is acknowledged in the order of its messages, whichever partition is durable first', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish(...[1, 2, 3].map((seq) => ({ seq, topic: `devices/sensor-${seq}/telemetry` })));
    await eventually(() => expect(log.held).toBe(3));
    log.release(2, 1);
    await eventually(() => expect(log.durable).toHaveLength(2));
    await roundTrip(device);
    expect(device.ids('puback')).toEqual([]);
    log.behaviour = 'pass';
    await eventually(() => expect(device.ids('puback')).toEqual([1, 2, 3]));
  });

  test('the records of a device are in one partition under its id, in order, and read back as sent', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    const seqs = Array.from({ length: 500 }, (_, index) => index + 1);
    device.publish(...seqs.map((seq) => ({ seq })));
    await eventually(() => expect(device.ids('puback')).toEqual(seqs));
    expect(bench.seqs).toEqual(seqs);
    expect(new Set(log.durable.map(({ partition }) => partition)).size).toBe(1);
    expect(new Set(log.durable.map(({ key }) => key))).toEqual(new Set(['device-1']));
  });
});

describe('QoS 2', () => {
  test('is received only after the append is durable, and completed on release', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish({ seq: 7, qos: 2 });
    await eventually(() => expect(log.held).toBe(1));
    await roundTrip(device);
    expect(device.ids('pubrec')).toEqual([]);
    log.behaviour = 'pass';
    await eventually(() => expect(device.ids('pubrec')).toEqual([7]));
    device.send(pubrelPacket(7));
    await eventually(() => expect(device.ids('pubcomp')).toEqual([7]));
    expect(bench.seqs).toEqual([7]);
  });

  test('sent again while its append is pending waits for the same append', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish({ seq: 7, qos: 2 }, { seq: 7, qos: 2, dup: true });
    await eventually(() => expect(log.held).toBe(1));
    await roundTrip(device);
    expect(device.ids('pubrec')).toEqual([]);
    log.behaviour = 'pass';
    await eventually(() => expect(device.ids('pubrec')).toEqual([7, 7]));
    expect(log.asked).toBe(1);
    expect(await bench.metric('repeated_messages_total')).toBe(1);
  });

  test('sent again before its release is not appended again, and after its release is', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port);
    device.publish({ seq: 7, qos: 2 });
    await eventually(() => expect(device.ids('pubrec')).toEqual([7]));
    device.publish({ seq: 7, qos: 2, dup: true });
    await eventually(() => expect(device.ids('pubrec')).toEqual([7, 7]));
    expect(bench.seqs).toEqual([7]);
    device.send(pubrelPacket(7), pubrelPacket(7));
    await eventually(() => expect(device.ids('pubcomp')).toEqual([7, 7]));
    device.publish({ seq: 7, qos: 2 });
    await eventually(() => expect(device.ids('pubrec')).toEqual([7, 7, 7]));
    expect(bench.seqs).toEqual([7, 7]);
  });

  test('sent again over a new connection of a persistent session waits for the same append', async () => {
    const { gateway, log } = await open();
    const first = await RawDevice.open(gateway.port, 'device-1', { clean: false });
    log.behaviour = 'hold';
    first.publish({ seq: 7, qos: 2 });
    await eventually(() => expect(log.held).toBe(1));
    first.close();
    const second = await RawDevice.open(gateway.port, 'device-1', { clean: false });
    second.publish({ seq: 7, qos: 2, dup: true });
    await roundTrip(second);
    expect(second.ids('pubrec')).toEqual([]);
    log.behaviour = 'pass';
    await eventually(() => expect(second.ids('pubrec')).toEqual([7]));
    expect(bench.seqs).toEqual([7]);
  });

  test('is forgotten with the end of a clean session', async () => {
    const { gateway } = await open();
    const first = await RawDevice.open(gateway.port);
    first.publish({ seq: 7, qos: 2 });
    await eventually(() => expect(first.ids('pubrec')).toEqual([7]));
    const second = await RawDevice.open(gateway.port);
    second.publish({ seq: 7, qos: 2 });
    await eventually(() => expect(second.ids('pubrec')).toEqual([7]));
    expect(bench.seqs).toEqual([7, 7]);
  });

  test('under an identifier that was never released, but with other content, is another message', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port);
    device.publish({ seq: 7, qos: 2, messageId: 1 }, { seq: 8, qos: 2, messageId: 1 });
    await eventually(() => expect(device.ids('pubrec')).toEqual([1, 1]));
    expect(bench.seqs).toEqual([7, 8]);
  });

  test('that are never released close the connection at the bound, and nothing after it is taken', async () => {
    const { gateway } = await open({ limits: { maxUnreleasedPerClient: 3 } });
    const device = await RawDevice.open(gateway.port);
    device.publish(...[1, 2, 3, 4, 5].map((seq) => ({ seq, qos: 2 as const })), { seq: 6 });
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(await bench.metric('refused_messages_total', 'too_many_unreleased')).toBe(1);
    await eventually(() => expect(bench.seqs).toEqual([1, 2, 3]));
  });

  test('appended only by a repeat counts once when the first append failed', async () => {
    const { gateway, log } = await open();
    const first = await RawDevice.open(gateway.port, 'device-1', { clean: false });
    log.behaviour = 'unavailable';
    first.publish({ seq: 7, qos: 2 }, { seq: 7, qos: 2, dup: true });
    await eventually(() => expect(first.isClosed).toBe(true));
    expect(first.ids('pubrec')).toEqual([]);
    log.behaviour = 'pass';
    const second = await RawDevice.open(gateway.port, 'device-1', { clean: false });
    second.publish({ seq: 7, qos: 2, dup: true });
    await eventually(() => expect(second.ids('pubrec')).toEqual([7]));
    expect(bench.seqs).toEqual([7]);
  });
});

test('QoS 0 is appended and not acknowledged', async () => {
  const { gateway } = await open();
  const device = await RawDevice.open(gateway.port);
  device.publish({ seq: 1, qos: 0 }, { seq: 2, qos: 0 });
  await eventually(() => expect(bench.seqs).toEqual([1, 2]));
  await roundTrip(device);
  expect(device.received.map(({ cmd }) => cmd)).toEqual(['connack', 'pingresp']);
});

describe('a log that takes nothing', () => {
  test('closes the connection without an acknowledgement, and readiness tells why until it is back', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    expect(gateway.ready()).toEqual({ ok: true, reason: undefined });
    log.behaviour = 'unavailable';
    device.publish({ seq: 7 });
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(device.ids('puback')).toEqual([]);
    expect(gateway.ready()).toEqual({ ok: false, reason: 'the log is down' });
    expect(await bench.metric('log_available')).toBe(0);
    expect(await bench.metric('refused_messages_total', 'append_failed')).toBe(1);
    log.behaviour = 'pass';
    await eventually(() => expect(gateway.ready().ok).toBe(true));
    expect(await bench.metric('log_available')).toBe(1);
  });

  test('that breaks its promises costs the connection and not the gateway', async () => {
    const { gateway, log } = await open();
    const will = {
      topic: 'devices/device-1/telemetry',
      payload: Buffer.from('{"a":1}'),
      qos: 1,
      retain: false,
    } as const;
    const device = await RawDevice.open(gateway.port, 'device-1', { will });
    log.behaviour = 'throw';
    device.publish({ seq: 1, qos: 0 }, { seq: 2 });
    await eventually(() => expect(device.isClosed).toBe(true));
    await eventually(async () =>
      expect(await bench.metric('refused_messages_total', 'append_failed')).toBe(3),
    );
    log.behaviour = 'pass';
    const again = await RawDevice.open(gateway.port);
    again.publish({ seq: 3 });
    await eventually(() => expect(again.ids('puback')).toEqual([3]));
  });

  test('does not close the connection for a QoS 0 message', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'unavailable';
    device.publish({ seq: 1, qos: 0 });
    await eventually(async () => expect(await bench.metric('refused_messages_total')).toBe(1));
    log.behaviour = 'pass';
    device.publish({ seq: 2, qos: 0 });
    await eventually(() => expect(bench.seqs).toEqual([2]));
    expect(device.isClosed).toBe(false);
  });

  test('closes the connection past the deadline when it does not even answer', async () => {
    const { gateway, log } = await open({ limits: { appendDeadlineMs: 100 } });
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish({ seq: 7 }, { seq: 8, qos: 0 });
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(device.ids('puback')).toEqual([]);
    await eventually(async () =>
      expect(await bench.metric('refused_messages_total', 'append_deadline')).toBe(2),
    );
    expect(gateway.ready().ok).toBe(false);
    log.behaviour = 'pass';
    await eventually(async () => expect(await bench.metric('pending_messages')).toBe(0));
  });

  test('makes a client send again what was not acknowledged, once it is connected again', async () => {
    const { log, url } = await open();
    const client = await mqtt.connectAsync(url, { clientId: 'device-1', clean: false, reconnectPeriod: 20 });
    log.behaviour = 'unavailable';
    const published = client.publishAsync('devices/device-1/telemetry', '{"seq":7,"metrics":{"a":1}}', {
      qos: 1,
    });
    await new Promise<void>((resolve) => client.once('close', resolve));
    expect(bench.seqs).toEqual([]);
    log.behaviour = 'pass';
    await published;
    expect(bench.seqs).toEqual([7]);
    await client.endAsync();
  });

  test('for a while under load loses nothing that was acknowledged', async () => {
    const { log, url } = await open();
    const acknowledged = new Set<number>();
    const devices = await Promise.all(
      Array.from({ length: 5 }, (_, index) =>
        mqtt.connectAsync(url, { clientId: `device-${index}`, clean: false, reconnectPeriod: 20 }),
      ),
    );
    const publishAll = devices.map(async (device, index) => {
      for (let n = 0; n < 200; n++) {
        const seq = index * 1_000 + n;
        const topic = `devices/device-${index}/telemetry`;
        const published = device.publishAsync(topic, `{"seq":${seq},"metrics":{"a":1}}`, {
          qos: n % 2 === 0 ? 1 : 2,
        });
        if (n % 10 === 9) await published;
        void published.then(() => acknowledged.add(seq));
      }
    });
    for (const behaviour of ['unavailable', 'pass', 'hold', 'unavailable', 'pass'] as const) {
      const asked = log.asked;
      await eventually(() => expect(log.asked).toBeGreaterThan(asked));
      log.behaviour = behaviour;
    }
    await Promise.all(publishAll);
    await eventually(() => expect(acknowledged.size).toBe(1_000));
    expect([...acknowledged].filter((seq) => !bench.seqs.includes(seq))).toEqual([]);
    await Promise.all(devices.map((device) => device.endAsync()));
  });
});

describe('closing', () => {
  test('waits until what was read is durable and acknowledged, and takes nothing more', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish({ seq: 1 }, { seq: 2, qos: 2 });
    await eventually(() => expect(log.held).toBe(2));
    const closed = gateway.close();
    expect(gateway.ready()).toEqual({ ok: false, reason: 'the gateway is closing' });
    device.publish({ seq: 3 });
    await expect(RawDevice.dial(gateway.port)).rejects.toThrow();
    log.behaviour = 'pass';
    await closed;
    await eventually(() => expect(device.isClosed).toBe(true));
    expect([device.ids('puback'), device.ids('pubrec')]).toEqual([[1], [2]]);
    expect(bench.seqs).toEqual([1, 2]);
  });

  test('sends what was written to a client that reads late', async () => {
    const { gateway } = await open();
    const subscriber = await RawDevice.open(gateway.port, 'late');
    subscriber.send(subscribePacket(['#', 0]));
    await eventually(() => expect(subscriber.ids('suback')).toHaveLength(1));
    subscriber.socket.pause();
    const device = await RawDevice.open(gateway.port);
    const payload = `{"a":1}${' '.repeat(60_000)}`;
    const seqs = Array.from({ length: 120 }, (_, index) => index + 1);
    device.publish(...seqs.map((seq) => ({ seq, payload })));
    await eventually(() => expect(device.ids('puback')).toEqual(seqs));
    const closed = gateway.close(5_000);
    subscriber.socket.resume();
    await closed;
    await eventually(() => expect(subscriber.isClosed).toBe(true));
    expect(subscriber.received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(120);
  });

  test('ends at its deadline when the log does not answer', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish({ seq: 1 });
    await eventually(() => expect(log.held).toBe(1));
    await gateway.close(50);
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(device.ids('puback')).toEqual([]);
  });

  test('is idempotent and ends connections that never sent anything', async () => {
    const { gateway } = await open();
    const silent = await RawDevice.dial(gateway.port);
    const [first, second] = [gateway.close(500), gateway.close(500)];
    expect(first).toBe(second);
    await first;
    await eventually(() => expect(silent.isClosed).toBe(true));
  });
});
