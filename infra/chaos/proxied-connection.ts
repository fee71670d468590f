import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** What a link does to its connections. */
export type Impairment =
  | { readonly kind: 'none' }
  /** Connections are reset as they come. */
  | { readonly kind: 'refusing' }
  /** What arrives is held for `delayMs`, then trickles on, in both directions. */
  | { readonly kind: 'slow'; readonly delayMs: number; readonly bytesPerSecond: number }
  /** Requests pass; answers do not, and are lost. */
  | { readonly kind: 'stalled' };

const TRICKLE_MS = 50;

/** A client's connection and the one behind it, ended together. */
export class ProxiedConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #impairment: () => Impairment;
  #hasLost = false;

  /** Owns both sockets. `impairment` is asked at every chunk, `onClose` called once. */
  constructor(client: Socket, server: Socket, impairment: () => Impairment, onClose: () => void) {
    this.#client = client;
    this.#server = server;
    this.#impairment = impairment;
    this.#forward(client, server, false);
    this.#forward(server, client, true);
    client.once('close', onClose);
    client.resume();
  }

  /** Whether bytes of it are lost, so that it can only be cut. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  /** Resets both sides. */
  cut(): void {
    reset(this.#client);
    reset(this.#server);
  }

  #forward(from: Socket, to: Socket, isAnswer: boolean): void {
    from.setNoDelay(true);
    from.on('data', (bytes) => {
      const { kind } = this.#impairment();
      if (kind === 'slow') void this.#trickle(from, to, bytes);
      else if (kind === 'stalled' && isAnswer) this.#swallow(from);
      else if (!to.write(bytes)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('end', () => to.end());
    from.on('error', () => reset(to));
    from.on('close', () => to.destroySoon());
  }

  /** Nothing more is read from it: what its sender goes on sending waits in the kernel, as on a dead network. */
  #swallow(from: Socket): void {
    this.#hasLost = true;
    from.pause();
  }

  async #trickle(from: Socket, to: Socket, bytes: Buffer): Promise<void> {
    from.pause();
    let sent = 0;
    const atStart = this.#impairment();
    if (atStart.kind === 'slow') await delay(atStart.delayMs);
    while (sent < bytes.length && to.writable) {
      const impairment = this.#impairment();
      const share =
        impairment.kind === 'slow' ? (impairment.bytesPerSecond * TRICKLE_MS) / 1_000 : bytes.length;
      const piece = bytes.subarray(sent, sent + Math.max(1, Math.floor(share)));
      to.write(piece);
      sent += piece.length;
      if (sent < bytes.length) await delay(TRICKLE_MS);
    }
    from.resume();
  }
}

/** Ends a connection with RST where that is possible: Node 20 leaves a socket half closed for ever that is reset after its end. */
export function reset(socket: Socket): void {
  if (socket.connecting || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
