import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { QoS } from './device-link.ts';
import type { LinkFault } from './link-fault.ts';
import { LinkThread } from './link-thread.ts';
import { RawLink } from './raw-link.ts';
import { ScriptedServer } from './scripted-server.fixture.ts';
import { parseServerAddress } from './server-address.ts';

const patiently = { timeout: 10_000 };
let server: ScriptedServer;
let link: RawLink | undefined;

beforeEach(async () => {
  server = await ScriptedServer.open();
});

afterEach(async () => {
  const [closing] = [link?.close()];
  await server.close();
  await closing;
});

async function openLink({ qos = 1, url = server.url }: { qos?: QoS; url?: string } = {}) {
  const seen = { ready: 0, lost: 0, failures: [] as string[], acknowledged: [] as number[] };
  const opened = new RawLink(
    parseServerAddress(url),
    { deviceId: 'd', qos, reconnectMs: 20 },
    {
      ready: () => seen.ready++,
      lost: () => seen.lost++,
      failed: ({ message }) => seen.failures.push(message),
      acknowledged: (token) => seen.acknowledged.push(token),
    },
    new LinkThread(),
    0,
  );
  link = opened;
  await vi.waitFor(() => expect(opened.ready).toBe(true), patiently);
  return { link: opened, seen };
}

function publishMany(link: RawLink, from: number, count: number): void {
  for (let n = from; n < from + count; n++) link.publish(Buffer.from(String(n)), n);
}

describe('a raw link', () => {
  it('says who it is', async () => {
    await openLink({ qos: 2, url: server.url.replace('mqtt://', 'mqtt://user:secret@') });
    const [packet] = server.received(0, 'connect');
    expect(packet).toMatchObject({
      clientId: 'd',
      clean: false,
      keepalive: 30,
      username: 'user',
      password: Buffer.from('secret'),
    });
  });

  it('hands what it publishes in one turn of the event loop to the socket in one piece', async () => {
    const { link } = await openLink();
    const pieces = server.connections[0]?.pieces ?? 0;
    publishMany(link, 0, 500);
    await vi.waitFor(() => expect(server.received(0, 'publish')).toHaveLength(500), patiently);
    expect(server.connections[0]?.pieces).toBe(pieces + 1);
  });

  it('keeps messages whole and in order that take more than one slab', async () => {
    const { link } = await openLink();
    const payloads = Array.from({ length: 12 }, (_, n) => Buffer.alloc(n === 7 ? 200_000 : 15_000, n));
    for (const [token, payload] of payloads.entries()) link.publish(payload, token);
    await vi.waitFor(() => expect(server.received(0, 'publish')).toHaveLength(12), patiently);
    expect(server.received(0, 'publish')).toMatchObject(payloads.map((payload) => ({ payload })));
  });

  it('gives no packet identifier to two messages on their way, however long one of them takes', async () => {
    const { link, seen } = await openLink();
    const held = 7;
    for (let sent = 0; sent < 66_000; sent += 1_000) {
      publishMany(link, sent, 1_000);
      await vi.waitFor(() => expect(server.received(0, 'publish')).toHaveLength(sent + 1_000), patiently);
      const ids = server
        .received(0, 'publish')
        .slice(sent)
        .map(({ messageId }) => messageId);
      if (sent > 0) expect(ids).not.toContain(held);
      const answers = ids.filter((id) => id !== held);
      for (const messageId of answers)
        server.connections[0]?.send({ cmd: 'puback', messageId: messageId ?? 0 });
      await vi.waitFor(() => expect(link.inFlight).toBe(1), patiently);
    }
    server.connections[0]?.send({ cmd: 'puback', messageId: held });
    await vi.waitFor(() => expect(link.inFlight).toBe(0), patiently);
    expect(seen.acknowledged.at(-1)).toBe(held - 1);
    expect(new Set(seen.acknowledged).size).toBe(66_000);
  });

  it('hears of a message once, though it is acknowledged twice', async () => {
    const { link, seen } = await openLink();
    publishMany(link, 0, 2);
    for (const messageId of [1, 1, 9, 2]) server.connections[0]?.send({ cmd: 'puback', messageId });
    await vi.waitFor(() => expect(seen.acknowledged).toEqual([0, 1]), patiently);
  });

  it('sends PUBLISH with DUP again, and PUBREL for what the server has, under the identifiers they had', async () => {
    const { link, seen } = await openLink({ qos: 2 });
    publishMany(link, 0, 3);
    await vi.waitFor(() => expect(server.received(0, 'publish')).toHaveLength(3), patiently);
    server.connections[0]?.send({ cmd: 'pubrec', messageId: 2 });
    await vi.waitFor(() => expect(server.received(0, 'pubrel')).toHaveLength(1), patiently);
    server.connections[0]?.socket.resetAndDestroy();
    await vi.waitFor(() => expect(server.received(1, 'publish')).toHaveLength(2), patiently);
    expect(server.connections[1]?.received.slice(1)).toMatchObject([
      { cmd: 'publish', messageId: 1, dup: true, payload: Buffer.from('0') },
      { cmd: 'pubrel', messageId: 2 },
      { cmd: 'publish', messageId: 3, dup: true, payload: Buffer.from('2') },
    ]);
    server.connections[1]?.send({ cmd: 'pubcomp', messageId: 2 });
    await vi.waitFor(() => expect(seen.acknowledged).toEqual([1]), patiently);
    expect([seen.ready, seen.lost, link.inFlight]).toEqual([2, 1, 2]);
  });

  it('pings when it is quiet, and gives up a server that does not answer', async () => {
    const { link, seen } = await openLink();
    for (let tick = 0; tick < 15; tick++) link.tick();
    await vi.waitFor(() => expect(server.received(0, 'pingreq')).toHaveLength(1), patiently);
    server.connections[0]?.send({ cmd: 'pingresp' });
    publishMany(link, 0, 1);
    server.connections[0]?.send({ cmd: 'puback', messageId: 1 });
    await vi.waitFor(() => expect(seen.acknowledged).toEqual([0]), patiently);
    for (let tick = 0; tick < 15; tick++) link.tick();
    await vi.waitFor(() => expect(server.received(0, 'pingreq')).toHaveLength(2), patiently);
    for (let tick = 0; tick < 11; tick++) link.tick();
    await vi.waitFor(() => expect(seen.lost).toBe(1), patiently);
    expect(seen.failures).toEqual(['the server did not answer PINGREQ within 10 s']);
  });

  it('gives up a server that does not answer CONNECT', async () => {
    const { link, seen } = await openLink();
    server.returnCode = undefined;
    server.connections[0]?.socket.destroy();
    await vi.waitFor(() => expect(server.received(1, 'connect')).toHaveLength(1), patiently);
    for (let tick = 0; tick < 11; tick++) link.tick();
    await vi.waitFor(() => expect(server.connections).toHaveLength(3), patiently);
    expect(seen.failures).toEqual(['the server did not answer CONNECT within 10 s']);
  });

  it('gives up a server that sends something else than MQTT', async () => {
    const { seen } = await openLink();
    server.connections[0]?.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    await vi.waitFor(() => expect(server.connections).toHaveLength(2), patiently);
    expect(seen.failures[0]).toMatch(/unexpected packet/);
  });
});

describe('a connection fault', () => {
  async function suffer(fault: LinkFault) {
    const opened = await openLink();
    opened.link.suffer(fault);
    return opened;
  }

  it('"disconnect" ends the connection politely and comes back', async () => {
    const { seen } = await suffer({ kind: 'disconnect', awayMs: 10 });
    await vi.waitFor(() => expect(seen.ready).toBe(2), patiently);
    expect(server.received(0, 'disconnect')).toHaveLength(1);
    expect([server.connections[0]?.end, seen.lost]).toEqual(['closed', 1]);
  });

  it('"abrupt-close" resets the connection and comes back', async () => {
    const { seen } = await suffer({ kind: 'abrupt-close', awayMs: 10 });
    await vi.waitFor(() => expect(seen.ready).toBe(2), patiently);
    expect(server.received(0, 'disconnect')).toHaveLength(0);
    expect([server.connections[0]?.end, seen.lost]).toEqual(['reset', 1]);
  });

  it('"half-open" leaves a connection that says and hears nothing beside the one that follows', async () => {
    const { link, seen } = await suffer({ kind: 'half-open', awayMs: 10, forMs: 600_000 });
    await vi.waitFor(() => expect(seen.ready).toBe(2), patiently);
    server.connections[0]?.send({ cmd: 'puback', messageId: 1 });
    for (let tick = 0; tick < 20; tick++) link.tick();
    publishMany(link, 0, 1);
    await vi.waitFor(() => expect(server.received(1, 'publish')).toHaveLength(1), patiently);
    expect([link.inFlight, server.connections[0]?.end, server.connections[0]?.received.length]).toEqual([
      1,
      undefined,
      1,
    ]);
    await link.close();
    await vi.waitFor(() => expect(server.connections[0]?.end).toBeDefined(), patiently);
  });

  it('"takeover" connects somebody else under the same client id for a while', async () => {
    const { seen } = await suffer({ kind: 'takeover', forMs: 50 });
    await vi.waitFor(
      () => expect(server.received(1, 'connect')).toMatchObject([{ clientId: 'd' }]),
      patiently,
    );
    await vi.waitFor(() => expect(server.connections[1]?.end).toBeDefined(), patiently);
    expect([seen.ready, seen.lost, server.connections[0]?.end]).toEqual([1, 0, undefined]);
  });

  it('"slow-reader" leaves what the server sends unread for a while', async () => {
    const { link, seen } = await suffer({ kind: 'slow-reader', forMs: 300 });
    publishMany(link, 0, 1);
    await vi.waitFor(() => expect(server.received(0, 'publish')).toHaveLength(1), patiently);
    const since = performance.now();
    server.connections[0]?.send({ cmd: 'puback', messageId: 1 });
    await vi.waitFor(() => expect(seen.acknowledged).toEqual([0]), patiently);
    expect(performance.now() - since).toBeGreaterThan(200);
  });
});
