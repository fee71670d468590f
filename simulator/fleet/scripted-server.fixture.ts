import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import mqttPacket, { type Packet } from 'mqtt-packet';

/** One connection to a scripted server: what came, and how to answer. */
export interface ScriptedConnection {
  readonly received: Packet[];
  /** How many pieces TCP delivered it in. */
  pieces: number;
  /** How it ended, once it has. */
  end: 'closed' | 'reset' | undefined;
  readonly socket: Socket;
  send(packet: Packet): void;
}

/** A server that answers CONNECT and leaves everything else to the test. */
export class ScriptedServer {
  readonly connections: ScriptedConnection[] = [];
  readonly #server: Server;
  /** The return code of each CONNACK, or undefined to be silent. */
  returnCode: number | undefined = 0;

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async open(): Promise<ScriptedServer> {
    const scripted = new ScriptedServer();
    scripted.#server.listen(0, '127.0.0.1');
    await once(scripted.#server, 'listening');
    return scripted;
  }

  get url(): string {
    const address = this.#server.address();
    return `mqtt://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  /** Packets of a kind that came over a connection, by its number. */
  received(connection: number, cmd: Packet['cmd']): Packet[] {
    return this.connections[connection]?.received.filter((packet) => packet.cmd === cmd) ?? [];
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const { socket } of this.connections) socket.destroy();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    const parser = mqttPacket.parser({ protocolVersion: 4 });
    const connection: ScriptedConnection = {
      received: [],
      pieces: 0,
      end: undefined,
      socket,
      send: (packet) => socket.write(mqttPacket.generate(packet)),
    };
    this.connections.push(connection);
    parser.on('packet', (packet: Packet) => {
      connection.received.push(packet);
      const { returnCode } = this;
      if (packet.cmd === 'connect' && returnCode !== undefined) {
        connection.send({ cmd: 'connack', returnCode, sessionPresent: false });
      }
    });
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      connection.pieces++;
      parser.parse(bytes);
    });
    socket.on('error', () => {
      connection.end = 'reset';
    });
    socket.on('close', () => {
      connection.end ??= 'closed';
    });
  }
}
