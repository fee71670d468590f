import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** For tests: stands between store and InfluxDB; can be taken away, and can cut answers short. */
export class TcpProxy {
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  /** Write requests that passed. */
  writes = 0;
  /** Applied to what the server answers; undefined cuts the connection, an empty buffer swallows it. */
  alter: (answer: Buffer) => Buffer | undefined = (answer) => answer;

  constructor(target: string) {
    this.#target = new URL(target);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#server = createServer((client) => this.#join(client));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = portOf(this.#server);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.close();
    this.cutConnections();
    await once(server, 'close');
  }

  cutConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client: Socket): void {
    const server = connect(Number(this.#target.port), this.#target.hostname);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server);
    client.on('data', (request) => {
      if (request.includes('POST /write?')) this.writes++;
    });
    server.on('data', (answer) => {
      const altered = this.alter(answer);
      if (altered !== undefined) client.write(altered);
      else client.end(answer.subarray(0, answer.length - 20));
    });
  }
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('not listening on a port');
  return address.port;
}
