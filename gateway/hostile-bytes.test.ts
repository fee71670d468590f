import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from './eventually.fixture.ts';
import { TestGateway, type TestGatewayOptions } from './gateway.fixture.ts';
import { connectPacket, publishPacket, RawDevice, roundTrip } from './raw-device.fixture.ts';

let bench: TestGateway;

async function open(options?: TestGatewayOptions): Promise<TestGateway> {
  bench = await TestGateway.open(options);
  return bench;
}

afterEach(() => bench.close());

describe('a packet that is too large', () => {
  test('is cut off at its header, before CONNECT', async () => {
    const { gateway } = await open();
    const device = await RawDevice.dial(gateway.port);
    device.send(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(await bench.metric('closed_connections_total', 'packet_too_large')).toBe(1);
  });

  test('is cut off when its header comes byte by byte, after CONNECT', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port);
    for (const byte of [0x32, 0xff, 0xff, 0xff]) {
      device.send(Buffer.from([byte]));
      await roundTripOfAnother(gateway.port);
    }
    device.send(Buffer.from([0x7f]));
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(await bench.metric('closed_connections_total', 'packet_too_large')).toBe(1);
  });

  test('does not take the packets before it with it', async () => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port);
    device.publish({ seq: 1 });
    await eventually(() => expect(device.ids('puback')).toEqual([1]));
    device.send(Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f]));
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(bench.seqs).toEqual([1]);
  });

  test('of exactly the bound is taken', async () => {
    const packet = publishPacket('device-1', { seq: 1, payload: `{"a":1}${' '.repeat(1_000)}` });
    const { gateway } = await open({ limits: { maxPacketBytes: packet.length - 3 } });
    const device = await RawDevice.open(gateway.port);
    device.send(packet);
    await eventually(() => expect(device.ids('puback')).toEqual([1]));
    device.publish({ seq: 2, payload: `{"a":1}${' '.repeat(1_001)}` });
    await eventually(() => expect(device.isClosed).toBe(true));
  });
});

test('a length of five bytes is cut off', async () => {
  const { gateway } = await open();
  const device = await RawDevice.dial(gateway.port);
  device.send(Buffer.from([0x10, 0x80, 0x80, 0x80, 0x80]));
  await eventually(() => expect(device.isClosed).toBe(true));
  expect(await bench.metric('closed_connections_total', 'malformed_length')).toBe(1);
});

test('packets cut anywhere are put together again', async () => {
  const { gateway } = await open();
  const device = await RawDevice.dial(gateway.port);
  const seqs = Array.from({ length: 12 }, (_, index) => index + 1);
  const stream = Buffer.concat([
    connectPacket('device-1'),
    ...seqs.map((seq) =>
      publishPacket('device-1', { seq, payload: `{"seq":${seq},"a":1}${' '.repeat(20 * seq)}` }),
    ),
  ]);
  for (let at = 0; at < stream.length; at += 61) {
    device.send(stream.subarray(at, at + 61));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(() => expect(device.ids('puback')).toEqual(seqs));
  expect(bench.seqs).toEqual(seqs);
});

test('many packets in the segment of CONNECT are all taken', async () => {
  const { gateway } = await open();
  const device = await RawDevice.dial(gateway.port);
  const seqs = Array.from({ length: 300 }, (_, index) => index + 1);
  device.send(connectPacket('device-1'), ...seqs.map((seq) => publishPacket('device-1', { seq })));
  await eventually(() => expect(device.ids('puback')).toEqual(seqs));
  expect(bench.seqs).toEqual(seqs);
});

test('a packet that a large first segment completes is not taken before CONNECT was accepted', async () => {
  const { gateway } = await open();
  const device = await RawDevice.dial(gateway.port);
  const payload = `{"seq":1,"a":1}${' '.repeat(65_500)}`;
  device.send(connectPacket('device-1'), publishPacket('device-1', { seq: 1, payload }));
  await eventually(() => expect(device.isClosed || device.ids('puback').length === 1).toBe(true));
  expect(device.received[0]?.cmd ?? 'nothing').toBe(device.isClosed ? 'nothing' : 'connack');
});

test.each([
  ['PUBLISH', publishPacket('device-1', {})],
  ['a second CONNECT', Buffer.concat([connectPacket('a'), connectPacket('a')])],
  ['reserved flags', Buffer.from([0x10 | 0x01, 0])],
  ['packet type 0', Buffer.from([0x00, 0])],
  ['an unknown protocol', Buffer.from([0x10, 12, 0, 4, 0x48, 0x54, 0x54, 0x50, 4, 2, 0, 0, 0, 0])],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: gateway\r\n\r\n')],
])('%s at the start of a connection ends it and nothing else', async (_, bytes) => {
  const { gateway, log } = await open();
  const device = await RawDevice.dial(gateway.port);
  device.send(bytes);
  await eventually(() => expect(device.isClosed).toBe(true));
  expect(log.asked).toBe(0);
  const other = await RawDevice.open(gateway.port, 'device-2');
  other.publish({ seq: 1 });
  await eventually(() => expect(other.ids('puback')).toEqual([1]));
});

test('random bytes, alone or after CONNECT, never end the gateway', async () => {
  const { gateway } = await open();
  for (let round = 0; round < 100; round++) {
    const device = await RawDevice.dial(gateway.port, `device-${round}`);
    if (round % 2 === 0) device.send(connectPacket(device.clientId));
    device.send(Buffer.from(Array.from({ length: 200 }, () => Math.floor(Math.random() * 256))));
    device.socket.end();
  }
  await eventually(async () => expect(await bench.metric('connections')).toBe(0));
  await roundTripOfAnother(gateway.port);
});

test('a connection that sends no CONNECT is closed', async () => {
  const { gateway } = await open({ limits: { connectTimeoutMs: 50 } });
  const silent = await RawDevice.dial(gateway.port);
  const slow = await RawDevice.dial(gateway.port);
  slow.send(connectPacket('device-1').subarray(0, 5));
  await eventually(() => expect([silent.isClosed, slow.isClosed]).toEqual([true, true]));
  expect(await bench.metric('closed_connections_total', 'no_connect')).toBe(2);
});

test('connections beyond the bound are closed at once', async () => {
  const { gateway } = await open({ limits: { maxConnections: 2 } });
  const [first, second] = [await RawDevice.open(gateway.port, 'a'), await RawDevice.open(gateway.port, 'b')];
  const third = await RawDevice.dial(gateway.port, 'c');
  await eventually(() => expect(third.isClosed).toBe(true));
  expect(await bench.metric('closed_connections_total', 'too_many_connections')).toBe(1);
  first.close();
  await eventually(async () => expect(await bench.metric('connections')).toBe(1));
  await RawDevice.open(gateway.port, 'd');
  await roundTrip(second);
});

test('a client id that is too long is refused by return code', async () => {
  const { gateway } = await open({ limits: { maxClientIdLength: 30 } });
  const device = await RawDevice.dial(gateway.port);
  device.send(connectPacket('x'.repeat(31)));
  await eventually(() => expect(device.isClosed).toBe(true));
  expect(device.received).toMatchObject([{ cmd: 'connack', returnCode: 2 }]);
  await RawDevice.open(gateway.port, 'x'.repeat(30));
});

test('MQTT 5 is refused by return code', async () => {
  const { gateway } = await open();
  const device = await RawDevice.dial(gateway.port);
  device.send(connectPacket('device-1', { protocolVersion: 5 }));
  await eventually(() => expect(device.isClosed).toBe(true));
  expect(device.received).toMatchObject([{ cmd: 'connack', returnCode: 1 }]);
});

test.each(['constructor', '__proto__', 'hasOwnProperty'])(
  '%s is a client id like any other',
  async (clientId) => {
    const { gateway } = await open();
    const device = await RawDevice.open(gateway.port, clientId, { clean: false });
    device.publish({ seq: 1 }, { seq: 2, qos: 2 });
    await eventually(() => expect([...device.ids('puback'), ...device.ids('pubrec')]).toEqual([1, 2]));
  },
);

async function roundTripOfAnother(port: number): Promise<void> {
  const other = await RawDevice.open(port, 'another');
  await roundTrip(other);
  other.close();
}
