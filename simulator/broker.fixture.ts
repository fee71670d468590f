import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Aedes, type AuthorizePublishHandler } from 'aedes';

/** An MQTT server for tests which keeps what it was sent, and can stall, and can die and come back. */
export class TestBroker {
  /** Payloads in the order of their arrival, by MQTT topic; a message that came twice is there twice. */
  readonly received = new Map<string, string[]>();
  /** Called before a message is acknowledged; the message counts as received before. */
  authorizePublish: AuthorizePublishHandler = (_client, _packet, callback) => callback(null);
  /** How many connections are still to be refused, with return code 5. */
  refusals = 0;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #aedes: Aedes | undefined;
  #port = 0;

  static async open(): Promise<TestBroker> {
    const broker = new TestBroker();
    await broker.start();
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.#port}`;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  get totalReceived(): number {
    return [...this.received.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** Starts without a memory of sessions, on the port it had before. */
  async start(): Promise<void> {
    const aedes = await Aedes.createBroker();
    aedes.authenticate = (_client, _username, _password, callback) => {
      const isRefused = this.refusals > 0;
      if (isRefused) this.refusals--;
      callback(null, !isRefused);
    };
    aedes.authorizePublish = (client, packet, callback) => {
      const payloads = this.received.get(packet.topic) ?? [];
      payloads.push(packet.payload.toString());
      this.received.set(packet.topic, payloads);
      this.authorizePublish(client, packet, callback);
    };
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      aedes.handle(socket);
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#aedes = aedes;
  }

  /** Ends as a killed process does: every connection is reset, nothing more is acknowledged. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server === undefined ? undefined : once(server, 'close');
    server?.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
    await new Promise<void>((resolve) =>
      this.#aedes === undefined ? resolve() : this.#aedes.close(resolve),
    );
    this.#aedes = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
