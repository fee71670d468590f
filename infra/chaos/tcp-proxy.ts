import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Impairment, ProxiedConnection, reset } from './proxied-connection.ts';

const HOST = '127.0.0.1';
const CONNECT_DEADLINE_MS = 2_000;
const NONE: Impairment = { kind: 'none' };

/**
 * A TCP balancer whose connections can be hurt. Each new connection goes to the next target in turn, or to the first
 * one after it that accepts; it is reset when none does. Knows nothing of what is healthy.
 */
export class TcpProxy {
  #targets: readonly number[] = [];
  readonly #server: Server;
  readonly #connections = new Set<ProxiedConnection>();
  #impairment = NONE;
  #turn = 0;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      client.on('error', () => {});
      void this.#accept(client);
    });
  }

  /** Listens on a free local port and passes connections on to these local ports, or to those given to `aim`. */
  static async open(targets: readonly number[] = []): Promise<TcpProxy> {
    const proxy = new TcpProxy();
    proxy.aim(targets);
    proxy.#server.listen(0, HOST);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy is closed');
    return address.port;
  }

  /** Passes connections that come from now on to these local ports. */
  aim(targets: readonly number[]): void {
    this.#targets = targets;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Resets every connection. */
  cut(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** Does this to all connections, those that exist and those to come, until `heal`. */
  impair(impairment: Impairment): void {
    this.#impairment = impairment;
    if (impairment.kind === 'refusing') this.cut();
  }

  /** Ends the impairment, and the connections that lost bytes to it. */
  heal(): void {
    this.#impairment = NONE;
    for (const connection of this.#connections) if (connection.hasLost) connection.cut();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#impairment = { kind: 'refusing' };
    this.#server.close();
    this.cut();
    await closed;
  }

  async #accept(client: Socket): Promise<void> {
    const server = this.#impairment.kind === 'refusing' ? undefined : await this.#connectTarget();
    if (server === undefined || client.destroyed || this.#impairment.kind === 'refusing') {
      if (server !== undefined) reset(server);
      reset(client);
      return;
    }
    const connection: ProxiedConnection = new ProxiedConnection(
      client,
      server,
      () => this.#impairment,
      () => this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }

  async #connectTarget(): Promise<Socket | undefined> {
    const first = this.#turn++;
    for (const index of this.#targets.keys()) {
      const port = this.#targets[(first + index) % this.#targets.length];
      const server = port === undefined ? undefined : await connectTo(port);
      if (server !== undefined) return server;
    }
    return undefined;
  }
}

function connectTo(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port, allowHalfOpen: true });
    const give = (result: Socket | undefined) => {
      clearTimeout(deadline);
      socket.off('connect', onConnect);
      if (result === undefined) socket.destroy();
      resolve(result);
    };
    const onConnect = () => give(socket);
    const deadline = setTimeout(() => give(undefined), CONNECT_DEADLINE_MS);
    socket.once('connect', onConnect);
    socket.on('error', () => give(undefined));
  });
}
