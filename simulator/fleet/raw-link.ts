import {
  CLOSE_DEADLINE_MS,
  type DeviceLink,
  type DeviceLinkEvents,
  type DeviceLinkOptions,
  type LinkOpener,
  telemetryTopic,
} from './device-link.ts';
import type { LinkFault } from './link-fault.ts';
import { LinkThread, type ThreadLink } from './link-thread.ts';
import { RawConnection, type RawConnectionEvents } from './raw-connection.ts';
import { parseServerAddress, type ServerAddress } from './server-address.ts';
import { SERVER_PACKET } from './server-packets.ts';
import { Unacknowledged } from './unacknowledged.ts';

/** Opens links to an `mqtt://` address; they share what a thread's links can share. */
export function createRawLinks(url: string): LinkOpener<RawLink> {
  const server = parseServerAddress(url);
  const thread = new LinkThread();
  let opened = 0;
  return (options, events) => new RawLink(server, options, events, thread, opened++);
}

const MAX_BACK_OFF = 4;
const DEAF: RawConnectionEvents = { accepted() {}, answered() {}, failed() {}, closed() {} };

/**
 * A link that writes its packets itself, for load: no object per packet read, one write per turn of the event loop.
 *
 * A message keeps its packet identifier until it is acknowledged, over any number of connections. After a reconnection
 * everything unacknowledged is sent again at once, in order, with DUP; for a QoS 2 message that the server has (PUBREC),
 * PUBREL. QoS 2 asks for a persistent session. Attempts to connect back off to four times `reconnectMs`.
 */
export class RawLink implements DeviceLink, ThreadLink {
  readonly #server: ServerAddress;
  readonly #options: DeviceLinkOptions;
  readonly #events: DeviceLinkEvents;
  readonly #thread: LinkThread;
  readonly #phase: number;
  readonly #topic: string;
  readonly #unacknowledged = new Unacknowledged();
  #connection: RawConnection | undefined;
  /** Connections under the device's name that are not the link's own: left half-open, or somebody else's. */
  #others: Set<RawConnection> | undefined;
  #faultTimers: Set<NodeJS.Timeout> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempts = 0;
  #ready = false;
  #willFlush = false;
  /** Of QoS 0: tokens written in this turn, and how many the socket has not taken. */
  #written: number[] = [];
  #untaken = 0;
  #closing: (() => void) | undefined;
  #isClosed = false;

  constructor(
    server: ServerAddress,
    options: DeviceLinkOptions,
    events: DeviceLinkEvents,
    thread: LinkThread,
    phase: number,
  ) {
    this.#server = server;
    this.#options = options;
    this.#events = events;
    this.#thread = thread;
    this.#phase = phase;
    this.#topic = telemetryTopic(options.deviceId);
    thread.add(this);
    this.#connect();
  }

  get ready(): boolean {
    return this.#ready;
  }

  get inFlight(): number {
    return this.#unacknowledged.size + this.#untaken;
  }

  publish(payload: Buffer, token: number): void {
    const { qos } = this.#options;
    if (qos === 0) {
      this.#untaken++;
      this.#written.push(token);
    }
    const id = qos === 0 ? 0 : this.#unacknowledged.add(payload, token);
    this.#connection?.publish({ topic: this.#topic, payload, qos, id, dup: false });
    this.#flushLater();
  }

  /** Does to the connection what the fault says; nothing while there is none. */
  suffer(fault: LinkFault): void {
    const connection = this.#connection;
    if (connection === undefined || !this.#ready) return;
    switch (fault.kind) {
      case 'disconnect':
        this.#leave(connection, fault.awayMs);
        connection.disconnect();
        this.#keepOther(connection, CLOSE_DEADLINE_MS);
        break;
      case 'abrupt-close':
        this.#leave(connection, fault.awayMs);
        connection.reset();
        break;
      case 'half-open':
        this.#leave(connection, fault.awayMs);
        connection.abandon();
        this.#keepOther(connection, fault.forMs);
        break;
      case 'takeover':
        this.#keepOther(this.#open(DEAF), fault.forMs);
        break;
      case 'slow-reader':
        connection.isReading = false;
        this.#after(fault.forMs, () => {
          connection.isReading = true;
        });
        break;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#ready = false;
    clearTimeout(this.#retry);
    for (const timer of this.#faultTimers ?? []) clearTimeout(timer);
    for (const other of this.#others ?? []) other.destroy();
    this.#thread.delete(this);
    const connection = this.#connection;
    if (connection === undefined) return;
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => connection.destroy(), CLOSE_DEADLINE_MS);
      this.#closing = () => {
        clearTimeout(deadline);
        resolve();
      };
      connection.isReading = true;
      connection.disconnect();
    });
  }

  flush(): void {
    this.#willFlush = false;
    const connection = this.#connection;
    if (connection === undefined) return;
    if (this.#written.length === 0) {
      connection.flush();
      return;
    }
    const taken = this.#written;
    this.#written = [];
    connection.flush(() => {
      if (connection !== this.#connection) return;
      this.#untaken -= taken.length;
      for (const token of taken) this.#events.acknowledged(token);
    });
  }

  tick(): void {
    this.#connection?.tick();
  }

  #flushLater(): void {
    if (this.#willFlush) return;
    this.#willFlush = true;
    this.#thread.flushLater(this);
  }

  #connect(): void {
    this.#retry = undefined;
    const connection = this.#open({
      accepted: () => this.#onAccepted(connection),
      answered: (type, id) => this.#onAnswer(connection, type, id),
      failed: (error) => this.#events.failed(error),
      closed: () => this.#onClosed(connection),
    });
    this.#connection = connection;
  }

  #open(events: RawConnectionEvents): RawConnection {
    const { deviceId, qos } = this.#options;
    const options = { server: this.#server, clientId: deviceId, clean: qos !== 2 };
    return new RawConnection(options, this.#thread, events, this.#phase);
  }

  #onAccepted(connection: RawConnection): void {
    if (this.#isClosed || connection !== this.#connection) return;
    this.#attempts = 0;
    const { qos } = this.#options;
    for (const [id, { payload, received }] of this.#unacknowledged) {
      if (received) connection.release(id);
      else connection.publish({ topic: this.#topic, payload, qos, id, dup: true });
    }
    if (this.#unacknowledged.size > 0) this.#flushLater();
    this.#ready = true;
    this.#events.ready();
  }

  #onAnswer(connection: RawConnection, type: number, id: number): void {
    const message = this.#unacknowledged.get(id);
    if (message === undefined || connection !== this.#connection) return;
    if (type === SERVER_PACKET.pubrec) {
      message.received = true;
      connection.release(id);
      this.#flushLater();
      return;
    }
    if (type !== (this.#options.qos === 2 ? SERVER_PACKET.pubcomp : SERVER_PACKET.puback)) return;
    this.#unacknowledged.delete(id);
    this.#events.acknowledged(message.token);
  }

  #onClosed(connection: RawConnection): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    if (this.#isClosed) {
      this.#closing?.();
      return;
    }
    const backOff = Math.min(2 ** this.#attempts++, MAX_BACK_OFF);
    this.#onLost(this.#options.reconnectMs * backOff);
  }

  /** The device leaves its connection, whatever the server thinks of it. */
  #leave(connection: RawConnection, awayMs: number): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#onLost(awayMs);
  }

  #onLost(awayMs: number): void {
    const wasReady = this.#ready;
    this.#ready = false;
    this.#written = [];
    this.#untaken = 0;
    this.#retry = setTimeout(() => this.#connect(), awayMs);
    if (wasReady) this.#events.lost();
  }

  #keepOther(connection: RawConnection, forMs: number): void {
    this.#others ??= new Set();
    this.#others.add(connection);
    this.#after(forMs, () => {
      connection.destroy();
      this.#others?.delete(connection);
    });
  }

  #after(ms: number, action: () => void): void {
    this.#faultTimers ??= new Set();
    const timers = this.#faultTimers;
    const timer = setTimeout(() => {
      timers.delete(timer);
      action();
    }, ms);
    timers.add(timer);
  }
}
