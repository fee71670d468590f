import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from './eventually.fixture.ts';
import { TestGateway, type TestGatewayOptions } from './gateway.fixture.ts';
import { publishPacket, RawDevice } from './raw-device.fixture.ts';

let bench: TestGateway;

async function open(options?: TestGatewayOptions): Promise<TestGateway> {
  bench = await TestGateway.open(options);
  return bench;
}

afterEach(() => bench.close());

const MIB = 1024 * 1024;
const LARGE_PAYLOAD = `{"metrics":{"a":1}}${' '.repeat(30_000)}`;
/** What one read may bring beyond a bound: the bound is looked at before bytes are taken. */
const ONE_READ_BYTES = 160 * 1024;

describe('a client with too much on its way into the log', () => {
  test('is not read from until half is durable, and then everything arrives in order', async () => {
    const { gateway, log } = await open({ limits: { maxPendingMessagesPerClient: 50 } });
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    const seqs = Array.from({ length: 20_000 }, (_, index) => index + 1);
    device.publish(...seqs.map((seq) => ({ seq })));
    await eventually(async () => expect(await bench.metric('held_connections')).toBe(1));
    const { asked } = log;
    expect(asked).toBeGreaterThanOrEqual(50);
    expect(asked).toBeLessThan(2_000);
    log.behaviour = 'pass';
    await eventually(() => expect(device.ids('puback')).toHaveLength(20_000));
    expect(device.ids('puback')).toEqual(seqs);
    expect(bench.seqs).toEqual(seqs);
    expect(await bench.metric('held_connections')).toBe(0);
  });

  test('is held back as well when it sends one packet in each segment', async () => {
    const { gateway, log } = await open({ limits: { maxPendingMessagesPerClient: 50 } });
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    const isHeld = async () => (await bench.metric('held_connections')) === 1;
    for (let seq = 1; !(await isHeld()); seq++) {
      device.publish({ seq });
      await eventually(async () => expect(log.asked === seq || (await isHeld())).toBe(true));
    }
    expect(log.asked).toBe(50);
    log.behaviour = 'pass';
    await eventually(() => expect(device.ids('puback')).toHaveLength(51));
  });

  test('is bounded in bytes, and what it goes on sending stays with it', async () => {
    const { gateway, log } = await open({ limits: { maxPendingBytesPerClient: 128 * 1024 } });
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'hold';
    const packet = publishPacket('device-1', { payload: LARGE_PAYLOAD });
    for (let sent = 0; sent < 64 * MIB; sent += packet.length) device.send(packet);
    await eventually(async () => expect(await bench.metric('held_connections')).toBe(1));
    expect(await bench.metric('pending_bytes')).toBeLessThan(2 * (128 * 1024 + ONE_READ_BYTES));
    expect(device.socket.writableLength).toBeGreaterThan(32 * MIB);
    device.close();
  });

  test('does not hold back others', async () => {
    const { gateway, log } = await open({ limits: { maxPendingMessagesPerClient: 2 } });
    const [greedy, modest] = [
      await RawDevice.open(gateway.port, 'a'),
      await RawDevice.open(gateway.port, 'b'),
    ];
    log.behaviour = 'hold';
    greedy.publish({ seq: 1 }, { seq: 2 }, { seq: 3 });
    await eventually(() => expect(log.held).toBe(3));
    greedy.publish({ seq: 4 });
    modest.publish({ seq: 5 });
    await eventually(() => expect(log.held).toBe(4));
    log.behaviour = 'pass';
    await eventually(() => expect(greedy.ids('puback')).toEqual([1, 2, 3, 4]));
    expect(modest.ids('puback')).toEqual([5]);
  });
});

describe('all clients together', () => {
  test('are held at the total bound and go on when half is durable', async () => {
    const { gateway, log } = await open({ limits: { maxPendingBytes: 200_000 } });
    const clients = await Promise.all(['a', 'b', 'c', 'd'].map((id) => RawDevice.open(gateway.port, id)));
    log.behaviour = 'hold';
    const packets = 40;
    for (const client of clients) {
      client.publish(
        ...Array.from({ length: packets }, (_, index) => ({ seq: index + 1, payload: LARGE_PAYLOAD })),
      );
    }
    await eventually(async () => expect(await bench.metric('held_connections')).toBe(4));
    expect(await bench.metric('pending_bytes')).toBeLessThan(200_000 + 4 * 2 * ONE_READ_BYTES);
    log.behaviour = 'pass';
    for (const client of clients) await eventually(() => expect(client.ids('puback')).toHaveLength(packets));
    expect(await bench.metric('held_connections')).toBe(0);
    expect(await bench.metric('pending_bytes')).toBe(0);
  });
});

describe('a log that is full', () => {
  test('holds everybody and gets the messages again, in order, when it has room', async () => {
    const { gateway, log } = await open();
    const [first, second] = [
      await RawDevice.open(gateway.port, 'a'),
      await RawDevice.open(gateway.port, 'b'),
    ];
    log.behaviour = 'full';
    first.publish({ seq: 1 }, { seq: 2 });
    await eventually(() => expect(log.asked).toBeGreaterThan(4));
    first.publish({ seq: 3 });
    second.publish({ seq: 4 });
    await eventually(async () => expect(await bench.metric('held_connections')).toBe(2));
    expect(await bench.metric('pending_messages')).toBe(2);
    expect(gateway.ready().ok).toBe(true);
    log.behaviour = 'pass';
    await eventually(() => expect(first.ids('puback')).toEqual([1, 2, 3]));
    await eventually(() => expect(second.ids('puback')).toEqual([4]));
    expect(bench.seqs.slice(0, 2)).toEqual([1, 2]);
    expect(await bench.metric('refused_messages_total')).toBe(0);
  });

  test('past the deadline costs the connection', async () => {
    const { gateway, log } = await open({ limits: { appendDeadlineMs: 100 } });
    const device = await RawDevice.open(gateway.port);
    log.behaviour = 'full';
    device.publish({ seq: 1 });
    await eventually(() => expect(device.isClosed).toBe(true));
    expect(device.ids('puback')).toEqual([]);
    await eventually(async () => expect(await bench.metric('pending_messages')).toBe(0));
    expect(await bench.metric('refused_messages_total')).toBe(1);
  });
});

test('a client that does not take its acknowledgements is not read from, and cut off', async () => {
  const { gateway } = await open({ limits: { drainTimeoutMs: 300, maxPendingMessagesPerClient: 100_000 } });
  const device = await RawDevice.open(gateway.port);
  device.publish({ seq: 1, qos: 2 });
  await eventually(() => expect(device.ids('pubrec')).toEqual([1]));
  device.socket.pause();
  // A message that is known already is the cheapest way to be owed an acknowledgement: they fill both sockets' buffers.
  const repeats = Buffer.concat(Array(20_000).fill(publishPacket('device-1', { seq: 1, qos: 2, dup: true })));
  const closed = new Promise<void>((resolve) => device.socket.once('close', () => resolve()));
  const held = eventually(async () => expect(await bench.metric('held_connections')).toBe(1));
  while (!device.socket.destroyed) {
    const sent = new Promise<void>((resolve) => device.socket.write(repeats, () => resolve()));
    await Promise.race([sent, closed]);
  }
  await held;
  expect(await bench.metric('closed_connections_total', 'not_draining')).toBe(1);
}, 60_000);
