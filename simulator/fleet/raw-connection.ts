import { connect, type Socket } from 'node:net';
import mqttPacket from 'mqtt-packet';
import { ANSWER_DEADLINE_MS, KEEPALIVE_SECONDS } from './device-link.ts';
import { type LinkThread, TICK_MS } from './link-thread.ts';
import { type PublishPacket, publishLength, writePublish } from './publish-packet.ts';
import type { ServerAddress } from './server-address.ts';
import { readServerPackets, SERVER_PACKET } from './server-packets.ts';

export interface RawConnectionOptions {
  readonly server: ServerAddress;
  readonly clientId: string;
  readonly clean: boolean;
}

/** What happens to a connection. Called synchronously. */
export interface RawConnectionEvents {
  /** The server accepted it. */
  accepted(): void;
  /** A PUBACK, PUBREC or PUBCOMP came. */
  answered(type: number, id: number): void;
  failed(error: Error): void;
  /** It is closed, by whomever; nothing follows. */
  closed(): void;
}

/** The server answered CONNECT with a return code other than 0. */
export class ConnectionRefusedError extends Error {
  readonly code = 'SIMULATOR_CONNECTION_REFUSED';
  readonly retryable = true;

  constructor(returnCode: number) {
    super(`the server refused the connection with return code ${returnCode}`);
    this.name = new.target.name;
  }
}

/** The server did not answer in time. */
export class SilentServerError extends Error {
  readonly code = 'SIMULATOR_SILENT_SERVER';
  readonly retryable = true;

  constructor(packet: string) {
    super(`the server did not answer ${packet} within ${ANSWER_DEADLINE_MS / 1_000} s`);
    this.name = new.target.name;
  }
}

const PUBREL = 0x62;
const PINGREQ = Buffer.from([0xc0, 0]);
const DISCONNECT = Buffer.from([0xe0, 0]);
const ANSWER_DEADLINE_TICKS = Math.ceil(ANSWER_DEADLINE_MS / TICK_MS);
const QUIET_TICKS = Math.floor((KEEPALIVE_SECONDS * 500) / TICK_MS);

/** One MQTT 3.1.1 connection of a device that publishes and subscribes to nothing. */
export class RawConnection {
  readonly #thread: LinkThread;
  readonly #events: RawConnectionEvents;
  readonly #socket: Socket;
  readonly #connectPacket: () => Buffer;
  /** The start of a packet whose end has not come yet. */
  #partial: Buffer | undefined;
  #slab: Buffer | undefined;
  #start = 0;
  #end = 0;
  /** Written before what is in the slab. */
  #full: Buffer[] = [];
  #awaited: 'CONNECT' | 'PINGREQ' | undefined = 'CONNECT';
  #awaitedTicks = 0;
  #quietTicks: number;
  #isReading = true;
  #isAbandoned = false;

  /** `phase`, a whole number, spreads the pings of many connections over time. */
  constructor(
    { server, clientId, clean }: RawConnectionOptions,
    thread: LinkThread,
    events: RawConnectionEvents,
    phase = 0,
  ) {
    this.#thread = thread;
    this.#events = events;
    this.#quietTicks = phase % QUIET_TICKS;
    this.#connectPacket = () => connectPacket(server, clientId, clean);
    this.#socket = connect({
      host: server.host,
      port: server.port,
      noDelay: true,
      onread: { buffer: thread.readBuffer, callback: (length) => this.#onBytes(length) },
    });
    this.#socket.on('connect', () => this.#socket.write(this.#connectPacket()));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#onClose());
  }

  /** Writes a PUBLISH at the next `flush`. */
  publish(packet: PublishPacket): void {
    const length = publishLength(packet.topic, packet.payload.length, packet.qos);
    const at = this.#reserve(length);
    if (this.#slab !== undefined) writePublish(this.#slab, at, packet);
  }

  /** Writes a PUBREL at the next `flush`. */
  release(id: number): void {
    const at = this.#reserve(4);
    this.#slab?.set([PUBREL, 2, id >>> 8, id & 0xff], at);
  }

  /** Hands everything written to the socket, and calls `taken` once the kernel has it. */
  flush(taken?: () => void): void {
    this.#quietTicks = 0;
    const last = this.#slab?.subarray(this.#start, this.#end);
    this.#slab = undefined;
    if (last === undefined || this.#isAbandoned) return;
    if (this.#full.length === 0) {
      this.#socket.write(last, taken);
      return;
    }
    this.#socket.cork();
    for (const bytes of this.#full) this.#socket.write(bytes);
    this.#socket.write(last, taken);
    this.#socket.uncork();
    this.#full = [];
  }

  /** Called every `TICK_MS`: keeps the connection alive, and gives it up when the server is silent. */
  tick(): void {
    if (this.#isAbandoned) return;
    if (this.#awaited !== undefined) {
      this.#awaitedTicks++;
      if (this.#awaitedTicks > ANSWER_DEADLINE_TICKS && this.#isReading) {
        this.#fail(new SilentServerError(this.#awaited));
        this.#socket.destroy();
      }
      return;
    }
    this.#quietTicks++;
    if (this.#quietTicks < QUIET_TICKS) return;
    this.#quietTicks = 0;
    this.#socket.write(PINGREQ);
    this.#await('PINGREQ');
  }

  /** Stops or goes on reading, as a slow device does; the server's answers pile up in between. */
  set isReading(isReading: boolean) {
    this.#isReading = isReading;
    if (isReading) this.#socket.resume();
    else this.#socket.pause();
  }

  /** From now on neither side hears of the other, though the connection stays open until `destroy`. */
  abandon(): void {
    this.isReading = false;
    this.#isAbandoned = true;
  }

  /** Ends it with DISCONNECT. */
  disconnect(): void {
    if (this.#awaited === 'CONNECT') this.#socket.destroy();
    else this.#socket.end(DISCONNECT);
  }

  /** Ends it with a TCP reset. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Returns where in `#slab` the bytes go. */
  #reserve(bytes: number): number {
    const { slab, start } = this.#thread.reserve(bytes);
    const adjoins = this.#slab === slab && this.#end === start;
    if (!adjoins) {
      if (this.#slab !== undefined) this.#full.push(this.#slab.subarray(this.#start, this.#end));
      this.#slab = slab;
      this.#start = start;
    }
    this.#end = start + bytes;
    return start;
  }

  #await(packet: 'CONNECT' | 'PINGREQ'): void {
    this.#awaited = packet;
    this.#awaitedTicks = 0;
  }

  /** Returns whether to go on reading. */
  #onBytes(length: number): boolean {
    if (this.#isAbandoned) return false;
    let bytes: Buffer = this.#thread.readBuffer;
    let end = length;
    if (this.#partial !== undefined) {
      bytes = Buffer.concat([this.#partial, bytes.subarray(0, length)]);
      end = bytes.length;
    }
    try {
      const read = readServerPackets(bytes, end, this.#onPacket);
      this.#partial = read === end ? undefined : Buffer.from(bytes.subarray(read, end));
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      this.#socket.destroy();
    }
    return this.#isReading;
  }

  readonly #onPacket = (type: number, id: number): boolean => {
    if (type === SERVER_PACKET.connack) {
      this.#onConnack(id);
    } else if (type === SERVER_PACKET.pingresp) {
      this.#awaited = undefined;
    } else {
      this.#events.answered(type, id);
    }
    return !this.#socket.destroyed;
  };

  #onConnack(returnCode: number): void {
    if (returnCode !== 0) {
      this.#fail(new ConnectionRefusedError(returnCode));
      this.#socket.destroy();
      return;
    }
    this.#awaited = undefined;
    this.#events.accepted();
  }

  #fail(error: Error): void {
    if (!this.#isAbandoned) this.#events.failed(error);
  }

  #onClose(): void {
    this.#full = [];
    this.#slab = undefined;
    this.#events.closed();
  }
}

function connectPacket({ username, password }: ServerAddress, clientId: string, clean: boolean): Buffer {
  return mqttPacket.generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId,
    clean,
    keepalive: KEEPALIVE_SECONDS,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Buffer.from(password) }),
  });
}
