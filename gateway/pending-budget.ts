import type { DeviceConnection } from './device-connection.ts';

/** What all clients together have on its way into the log, and the connections that are held back. */
export class PendingBudget {
  readonly #maxBytes: number;
  readonly #held = new Set<DeviceConnection>();
  #bytes = 0;
  #messages = 0;
  #isExhausted = false;
  #isLogFull = false;
  #isClosed = false;
  #onEmpty: (() => void) | undefined;
  readonly #release: (connection: DeviceConnection) => void;

  /** `release` is called for every held connection when reading may go on. */
  constructor(maxBytes: number, release: (connection: DeviceConnection) => void) {
    this.#maxBytes = maxBytes;
    this.#release = release;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get messages(): number {
    return this.#messages;
  }

  get held(): number {
    return this.#held.size;
  }

  /** Whether nobody may be read from: from the bound on until half of it is free, and while the log is full. */
  get isExhausted(): boolean {
    return this.#isExhausted || this.#isLogFull || this.#isClosed;
  }

  hold(connection: DeviceConnection): void {
    this.#held.add(connection);
  }

  unhold(connection: DeviceConnection): void {
    this.#held.delete(connection);
  }

  take(bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
    if (this.#bytes >= this.#maxBytes) this.#isExhausted = true;
  }

  give(bytes: number): void {
    this.#messages--;
    this.#bytes -= bytes;
    if (this.#isExhausted && this.#bytes <= this.#maxBytes / 2) {
      this.#isExhausted = false;
      this.#releaseAll();
    }
    if (this.#messages === 0) this.#onEmpty?.();
  }

  logIsFull(isFull: boolean): void {
    this.#isLogFull = isFull;
    if (!isFull) this.#releaseAll();
  }

  #releaseAll(): void {
    for (const connection of this.#held) this.#release(connection);
  }

  /** Holds everybody from now on; resolves once nothing is pending. */
  close(): Promise<void> {
    this.#isClosed = true;
    if (this.#messages === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }
}
