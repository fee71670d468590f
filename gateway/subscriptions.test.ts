import mqtt from 'mqtt';
import mqttPacket, { type QoS } from 'mqtt-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from './eventually.fixture.ts';
import { TestGateway, type TestGatewayOptions } from './gateway.fixture.ts';
import { connectPacket, RawDevice, roundTrip, subscribePacket } from './raw-device.fixture.ts';

let bench: TestGateway;

async function open(options?: TestGatewayOptions): Promise<TestGateway> {
  bench = await TestGateway.open(options);
  return bench;
}

afterEach(() => bench.close());

async function subscribe(
  device: RawDevice,
  ...filters: readonly (readonly [string, QoS])[]
): Promise<unknown> {
  device.send(subscribePacket(...filters));
  await eventually(() => expect(device.ids('suback')).toEqual([9]));
  const suback = device.received.find(({ cmd }) => cmd === 'suback');
  return suback?.cmd === 'suback' ? suback.granted : undefined;
}

describe('subscriptions', () => {
  test('are granted at QoS 0, and the broker’s own topics are not', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port);
    const granted = await subscribe(device, ['a/#', 2], ['b', 1], ['c', 0], ['$SYS/#', 0], ['$share/g/a', 1]);
    expect(granted).toEqual([0, 0, 0, 128, 128]);
  });

  test('are bounded for each client', async () => {
    const { gateway } = await open({ limits: { maxSubscriptionsPerClient: 2 } });
    const device = await RawDevice.open(gateway.port);
    expect(await subscribe(device, ['a', 0], ['b', 0], ['c', 0], ['a', 0])).toEqual([0, 0, 128]);
  });

  test('deliver telemetry at QoS 0 once it is durable', async () => {
    const { gateway, log } = await open();
    const subscriber = await RawDevice.open(gateway.port, 'dashboard');
    await subscribe(subscriber, ['devices/+/telemetry', 1]);
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    device.publish({ seq: 1, retain: true }, { seq: 2, qos: 2 });
    await eventually(() => expect(log.held).toBe(2));
    await roundTrip(subscriber);
    expect(subscriber.received.filter(({ cmd }) => cmd === 'publish')).toEqual([]);
    log.behaviour = 'pass';
    await eventually(() =>
      expect(subscriber.received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(2),
    );
    expect(subscriber.received.filter(({ cmd }) => cmd === 'publish')).toMatchObject([
      { topic: 'devices/device-1/telemetry', qos: 0, retain: false },
      { topic: 'devices/device-1/telemetry', qos: 0, retain: false },
    ]);
  });

  test('end with unsubscribing', async () => {
    const { gateway } = await open({ limits: { maxSubscriptionsPerClient: 1 } });
    const client = await mqtt.connectAsync(bench.url, { clientId: 'dashboard', reconnectPeriod: 0 });
    const arrived: string[] = [];
    client.on('message', (topic) => arrived.push(topic));
    await client.subscribeAsync('devices/+/telemetry');
    await client.unsubscribeAsync('devices/+/telemetry');
    await client.subscribeAsync('devices/b/telemetry');
    const [a, b] = [await RawDevice.open(gateway.port, 'a'), await RawDevice.open(gateway.port, 'b')];
    a.publish({ seq: 1 });
    await eventually(() => expect(a.ids('puback')).toEqual([1]));
    b.publish({ seq: 2 });
    await eventually(() => expect(arrived).toEqual(['devices/b/telemetry']));
    await client.endAsync();
  });

  test('go on when another subscriber leaves', async () => {
    const { gateway } = await open();
    const [leaves, stays] = [
      await RawDevice.open(gateway.port, 'x'),
      await RawDevice.open(gateway.port, 'y'),
    ];
    for (const subscriber of [leaves, stays]) await subscribe(subscriber, ['devices/#', 0]);
    leaves.close();
    await eventually(async () => expect(await bench.metric('connections')).toBe(1));
    const device = await RawDevice.open(gateway.port);
    device.publish({ seq: 1 });
    await eventually(() => expect(stays.received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(1));
  });

  test('of a persistent session are restored, without messages published meanwhile', async () => {
    const { gateway } = await open();
    const first = await RawDevice.open(gateway.port, 'dashboard', { clean: false });
    await subscribe(first, ['devices/a/telemetry', 1], ['$SYS/#', 1]);
    first.close();
    await eventually(async () => expect(await bench.metric('connections')).toBe(0));
    const device = await RawDevice.open(gateway.port, 'a');
    device.publish({ seq: 1 });
    await eventually(() => expect(device.ids('puback')).toEqual([1]));
    const again = await RawDevice.open(gateway.port, 'dashboard', { clean: false });
    expect(again.received[0]).toMatchObject({ cmd: 'connack', sessionPresent: true });
    device.publish({ seq: 2 });
    await eventually(() => expect(again.received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(1));
    const [message] = again.received.filter((packet) => packet.cmd === 'publish');
    expect(String(message?.payload)).toContain('"seq":2');
  });

  test('do not hold telemetry back when a subscriber does not read', async () => {
    const { gateway } = await open({ limits: { maxPendingForwards: 10, drainTimeoutMs: 500 } });
    const frozen = await RawDevice.open(gateway.port, 'frozen');
    await subscribe(frozen, ['#', 0]);
    frozen.socket.pause();
    const device = await RawDevice.open(gateway.port);
    const payload = `{"a":1}${' '.repeat(60_000)}`;
    const total = 300;
    for (let seq = 1; seq <= total; seq += 10) {
      device.publish(...Array.from({ length: 10 }, (_, index) => ({ seq: seq + index, payload })));
      await eventually(() => expect(device.ids('puback')).toHaveLength(seq + 9));
    }
    await eventually(async () => expect(await bench.metric('unforwarded_messages_total')).toBeGreaterThan(0));
    await eventually(async () => expect(await bench.metric('connections')).toBe(1));
  });
});

describe('wills', () => {
  const will = {
    topic: 'devices/device-1/telemetry',
    payload: Buffer.from('{"seq":99,"a":1}'),
    qos: 1,
    retain: true,
  } as const;

  test('go the way of any message when the connection is cut', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port, 'device-1', { will });
    device.close();
    await eventually(() => expect(bench.seqs).toEqual([99]));
    await eventually(async () => expect(await bench.metric('accepted_messages_total')).toBe(1));
  });

  test('that cannot be used are quarantined', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port, 'client-1', { will: { ...will, topic: 'gone' } });
    device.close();
    await eventually(() =>
      expect(bench.quarantined).toMatchObject([{ key: 'client-1', event: { reason: 'unknown_topic' } }]),
    );
  });

  test('are not published after DISCONNECT', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port, 'device-1', { will });
    device.send(mqttPacket.generate({ cmd: 'disconnect' }));
    await eventually(() => expect(device.isClosed).toBe(true));
    await eventually(async () => expect(await bench.metric('connections')).toBe(0));
    expect(log.asked).toBe(0);
  });

  test('are counted as refused when the gateway closes, and when the log is down', async () => {
    const { gateway, log } = await open();
    const device = await RawDevice.open(gateway.port, 'device-1', { will });
    const other = await RawDevice.open(gateway.port, 'device-2', { will });
    log.behaviour = 'unavailable';
    other.close();
    await eventually(async () =>
      expect(await bench.metric('refused_messages_total', 'append_failed')).toBe(1),
    );
    await gateway.close();
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(await bench.metric('refused_messages_total', 'closing')).toBe(1);
    expect(bench.seqs).toEqual([]);
  });
});

test('a retained message is not kept for those who subscribe later', async () => {
  const { gateway } = await open();
  const device = await RawDevice.open(gateway.port);
  device.publish({ seq: 1, retain: true });
  await eventually(() => expect(device.ids('puback')).toEqual([1]));
  const subscriber = await RawDevice.open(gateway.port, 'dashboard');
  await subscribe(subscriber, ['#', 0]);
  await roundTrip(subscriber);
  expect(subscriber.received.filter(({ cmd }) => cmd === 'publish')).toEqual([]);
});

test('a client that connects twice is served on its latest connection', async () => {
  const { gateway, log } = await open();
  const first = await RawDevice.open(gateway.port);
  log.behaviour = 'hold';
  first.publish({ seq: 1 });
  await eventually(() => expect(log.held).toBe(1));
  const second = await RawDevice.dial(gateway.port);
  second.send(connectPacket('device-1'));
  await eventually(() => expect(first.isClosed).toBe(true));
  log.behaviour = 'pass';
  second.publish({ seq: 2 });
  await eventually(() => expect(second.ids('puback')).toEqual([2]));
  expect(bench.seqs).toEqual([1, 2]);
});
