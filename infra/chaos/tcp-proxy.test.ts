import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { TcpProxy } from './tcp-proxy.ts';

/** Nothing listens on tcpmux. */
const UNUSED_PORT = 1;

/** A server that sends back what it gets, behind its name; returns its port. */
async function startEcho(name = ''): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.write(name);
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function openProxy(...targets: number[]): Promise<TcpProxy> {
  const proxy = await TcpProxy.open(targets);
  onTestFinished(() => proxy.close());
  return proxy;
}

interface Client {
  readonly socket: Socket;
  received(): Buffer;
  /** Resolves when the connection is gone, with the code of the error that ended it. */
  readonly closed: Promise<string | undefined>;
}

function connectClient(port: number): Client {
  const socket = connect({ host: '127.0.0.1', port });
  onTestFinished(() => void socket.destroy());
  const chunks: Buffer[] = [];
  let code: string | undefined;
  socket.on('data', (bytes) => chunks.push(bytes));
  socket.on('error', (error) => (code = 'code' in error ? String(error.code) : error.message));
  const closed = new Promise<string | undefined>((resolve) => socket.once('close', () => resolve(code)));
  return { socket, received: () => Buffer.concat(chunks), closed };
}

async function untilReceived(client: Client, text: string): Promise<void> {
  await expect.poll(() => client.received().toString(), { interval: 5, timeout: 5_000 }).toBe(text);
}

test('bytes pass unchanged in both directions, and so does the end', async () => {
  const proxy = await openProxy(await startEcho());
  const client = connectClient(proxy.port);
  const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 251));
  client.socket.end(sent);
  expect(await client.closed).toBeUndefined();
  expect(client.received().equals(sent)).toBe(true);
  await expect.poll(() => proxy.connections).toBe(0);
});

test('connections go to the targets in turn', async () => {
  const proxy = await openProxy(await startEcho('a'), await startEcho('b'));
  const clients: Client[] = [];
  for (const name of ['a', 'b', 'a', 'b']) {
    const client = connectClient(proxy.port);
    clients.push(client);
    await untilReceived(client, name);
  }
  expect(proxy.connections).toBe(clients.length);
});

test('a target that nobody listens on is passed over', async () => {
  const proxy = await openProxy(await startEcho('a'), UNUSED_PORT);
  for (let i = 0; i < 4; i++) await untilReceived(connectClient(proxy.port), 'a');
});

test('without any target a connection is reset', async () => {
  const proxy = await openProxy(UNUSED_PORT);
  expect(await connectClient(proxy.port).closed).toBe('ECONNRESET');
});

test('cut resets every connection, and the next one works', async () => {
  const proxy = await openProxy(await startEcho('hello'));
  const clients = [connectClient(proxy.port), connectClient(proxy.port)];
  for (const client of clients) await untilReceived(client, 'hello');
  proxy.cut();
  expect(await Promise.all(clients.map(({ closed }) => closed))).toEqual(['ECONNRESET', 'ECONNRESET']);
  await untilReceived(connectClient(proxy.port), 'hello');
});

test('refusing resets what is there and what comes, until it is healed', async () => {
  const proxy = await openProxy(await startEcho('hello'));
  const before = connectClient(proxy.port);
  await untilReceived(before, 'hello');
  proxy.impair({ kind: 'refusing' });
  expect(await before.closed).toBe('ECONNRESET');
  expect(await connectClient(proxy.port).closed).toBe('ECONNRESET');
  proxy.heal();
  await untilReceived(connectClient(proxy.port), 'hello');
});

test('slow holds bytes back and lets them trickle, in order; healing sends the rest at once', async () => {
  const proxy = await openProxy(await startEcho());
  const client = connectClient(proxy.port);
  proxy.impair({ kind: 'slow', delayMs: 30, bytesPerSecond: 200 });
  const sent = Buffer.from(Array.from({ length: 5_000 }, (_, i) => i % 251));
  const startedAt = performance.now();
  client.socket.write(sent);
  // 20 bytes take one step of the trickle there and one back, after a delay each.
  await expect.poll(() => client.received().length, { interval: 5 }).toBeGreaterThanOrEqual(20);
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(60);
  expect(client.received().length).toBeLessThan(1_000);
  proxy.heal();
  await expect.poll(() => client.received().length, { interval: 5 }).toBe(sent.length);
  expect(client.received().equals(sent)).toBe(true);
});

test('stalled lets requests pass and loses their answers; healing cuts what lost any', async () => {
  const seen: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      seen.push(bytes.toString());
      socket.write('answer');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxy = await openProxy(address.port);
  const silent = connectClient(proxy.port);
  const asking = connectClient(proxy.port);
  await expect.poll(() => proxy.connections).toBe(2);
  proxy.impair({ kind: 'stalled' });
  asking.socket.write('request');
  await expect.poll(() => seen).toEqual(['request']);
  proxy.heal();
  expect(await asking.closed).toBe('ECONNRESET');
  expect(asking.received().length).toBe(0);
  silent.socket.write('later');
  await untilReceived(silent, 'answer');
});
