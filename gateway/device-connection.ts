import type { Socket } from 'node:net';
import type { AckRounds } from './ack-rounds.ts';
import type { CloseReason, GatewayEvents } from './gateway-events.ts';
import type { GatewayLimits } from './limits.ts';
import { PacketGuard } from './packet-guard.ts';
import type { PendingBudget } from './pending-budget.ts';
import type { PendingMessage } from './pending-message.ts';

/** Where a device's messages go; kept because a device publishes to one topic. */
export interface Route {
  readonly mqttTopic: string;
  readonly deviceId: string;
  readonly partition: number;
}

export interface ConnectionSurroundings {
  readonly limits: GatewayLimits;
  readonly budget: PendingBudget;
  readonly rounds: AckRounds;
  readonly events: GatewayEvents;
  readonly clock: () => number;
}

const PUBACK = 0x40;
const PUBREC = 0x50;
const ACK_BYTES = 4;

/**
 * One device's connection: decides when its bytes may be read, and sends its acknowledgements in the order of its
 * messages [MQTT-4.6.0-2].
 *
 * The broker takes bytes with `socket.read()` only, so that is where the connection is guarded and held back. Its own
 * `pause()` does not fit: acknowledgements that happen while it is paused are not counted, and it never reads again.
 */
export class DeviceConnection {
  readonly #socket: Socket;
  readonly #readSocket: (size?: number) => unknown;
  readonly #around: ConnectionSurroundings;
  readonly #guard: PacketGuard;
  /** Messages in the order of their arrival, without those at its head that are settled and acknowledged. */
  readonly #messages: PendingMessage[] = [];
  readonly #endParsing = () => {
    this.#isParsing = false;
  };
  #pendingMessages = 0;
  #pendingBytes = 0;
  #isParsing = false;
  #isHeld = false;
  #undrainedSince: number | undefined;
  /** Undefined until the client was authenticated: the broker can hand over a PUBLISH before that. */
  clientId: string | undefined;
  route: Route | undefined;
  /** Topic filters that the client subscribed to. */
  readonly filters = new Set<string>();
  /** When the bytes that are being parsed were read, ms since the epoch and ms of the monotonic clock. */
  received = 0;
  readAt = 0;

  constructor(socket: Socket, around: ConnectionSurroundings) {
    this.#socket = socket;
    this.#around = around;
    this.#guard = new PacketGuard(around.limits.maxPacketBytes);
    this.#readSocket = socket.read.bind(socket);
    socket.read = (size) => this.#read(size);
    socket.on('drain', () => this.#drained());
  }

  get socket(): Socket {
    return this.#socket;
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** Takes up a message, whose state the caller settles. */
  add(message: PendingMessage): void {
    this.#pendingMessages++;
    this.#pendingBytes += message.bytes;
    this.#messages.push(message);
  }

  /** Call once for each message when its state has left `waiting`. */
  settled(message: PendingMessage): void {
    this.#pendingMessages--;
    this.#pendingBytes -= message.bytes;
    this.#around.rounds.add(this);
  }

  /**
   * Acknowledges what is durable, up to the first message that still waits, and reads on where it may. Gives when
   * the oldest acknowledged message was taken up.
   */
  settle(): number | undefined {
    let count = 0;
    let acks = 0;
    for (const { state, qos } of this.#messages) {
      if (state === 'waiting') break;
      count++;
      if (state === 'durable' && qos > 0) acks++;
    }
    const settled = this.#messages.splice(0, count);
    if (!this.isOpen) return undefined;
    if (acks > 0) this.#acknowledge(settled, acks);
    this.#readOn();
    return acks > 0 ? settled[0]?.startedAt : undefined;
  }

  /** Messages taken up before `time` (monotonic, ms) that still wait. */
  waitingSince(time: number): PendingMessage[] {
    const oldest = this.#messages[0];
    if (oldest === undefined || oldest.startedAt > time) return [];
    return this.#messages.filter(({ state, startedAt }) => state === 'waiting' && startedAt <= time);
  }

  /** Closes the connection when the client has not taken what was sent since before `time` (monotonic, ms). */
  closeUndrained(time: number): void {
    if (this.#undrainedSince === undefined || this.#undrainedSince > time) return;
    this.close('not_draining', 'the client does not take its acknowledgements');
  }

  /** Ends the connection without acknowledging anything more; the device sends again what was not acknowledged. */
  close(reason: CloseReason, detail: string): void {
    if (!this.isOpen) return;
    this.#around.events.closed(reason, detail, this.clientId);
    this.#socket.destroy();
  }

  /** The connection has ended. */
  ended(): void {
    this.#around.budget.unhold(this);
  }

  #read(size: number | undefined): unknown {
    // Streams call `read(0)` on themselves to fill their buffer; nothing is taken then.
    if (size === 0) return this.#readSocket(0);
    // The broker asks again after each packet that it parses, when there is nothing yet.
    if (!this.isOpen || this.#isParsing || this.#mustHold()) return null;
    const chunk = this.#readSocket(size);
    if (!(chunk instanceof Buffer)) return null;
    const fault = this.#guard.inspect(chunk);
    if (fault !== undefined) {
      this.close(
        fault.kind,
        fault.kind === 'packet_too_large' ? `a packet of ${fault.bytes} bytes` : 'over 4 bytes',
      );
      return null;
    }
    this.#isParsing = true;
    queueMicrotask(this.#endParsing);
    this.received = this.#around.clock();
    this.readAt = performance.now();
    return chunk;
  }

  #mustHold(): boolean {
    if (this.#isHeld) return true;
    const { limits, budget } = this.#around;
    this.#isHeld =
      budget.isExhausted ||
      this.#pendingMessages >= limits.maxPendingMessagesPerClient ||
      this.#pendingBytes >= limits.maxPendingBytesPerClient ||
      this.#socket.writableNeedDrain;
    if (this.#isHeld) budget.hold(this);
    return this.#isHeld;
  }

  #readOn(): void {
    const { limits, budget } = this.#around;
    if (
      !this.#isHeld ||
      budget.isExhausted ||
      this.#pendingMessages > limits.maxPendingMessagesPerClient / 2 ||
      this.#pendingBytes > limits.maxPendingBytesPerClient / 2 ||
      this.#socket.writableNeedDrain
    ) {
      return;
    }
    this.#isHeld = false;
    budget.unhold(this);
    this.#socket.emit('readable');
  }

  #acknowledge(settled: readonly PendingMessage[], acks: number): void {
    const bytes = Buffer.allocUnsafe(acks * ACK_BYTES);
    let at = 0;
    for (const { state, qos, messageId } of settled) {
      if (state !== 'durable' || qos === 0) continue;
      bytes[at] = qos === 1 ? PUBACK : PUBREC;
      bytes[at + 1] = 2;
      bytes[at + 2] = messageId >> 8;
      bytes[at + 3] = messageId & 0xff;
      at += ACK_BYTES;
    }
    if (!this.#socket.write(bytes)) this.#undrainedSince ??= performance.now();
  }

  #drained(): void {
    this.#undrainedSince = undefined;
    if (this.#isHeld) this.#around.rounds.add(this);
  }
}
