/** A link as its thread sees it. */
export interface ThreadLink {
  /** Hands what was written in this turn of the event loop to the socket. */
  flush(): void;
  /** Called every `TICK_MS`, later where the event loop is held up. */
  tick(): void;
}

/** Part of a slab that nobody else writes to. */
export interface Room {
  slab: Buffer;
  start: number;
}

export const TICK_MS = 1_000;
const READ_BUFFER_BYTES = 64 * 1_024;
const SLAB_BYTES = 64 * 1_024;

/**
 * What the links of one thread share, so that ten thousand of them cost little: one buffer to read into, slabs to write
 * into, one write per link and turn of the event loop, one timer.
 */
export class LinkThread {
  /** Whatever is read into it is used up before the next read. */
  readonly readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  readonly #links = new Set<ThreadLink>();
  #written: ThreadLink[] = [];
  readonly #room: Room = { slab: Buffer.allocUnsafeSlow(SLAB_BYTES), start: 0 };
  #used = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Ticks the link until `delete`. */
  add(link: ThreadLink): void {
    this.#links.add(link);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  delete(link: ThreadLink): void {
    this.#links.delete(link);
    if (this.#links.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Takes `bytes` of the slab; the answer is valid until the next call. Consecutive calls give adjoining room where the
   * slab does not change. Room is never given twice, since the kernel may still read from it.
   */
  reserve(bytes: number): Readonly<Room> {
    if (this.#used + bytes > this.#room.slab.length) {
      this.#room.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
      this.#used = 0;
    }
    this.#room.start = this.#used;
    this.#used += bytes;
    return this.#room;
  }

  /** Has the link flushed at the end of this turn of the event loop. Once per turn and link. */
  flushLater(link: ThreadLink): void {
    this.#written.push(link);
    if (this.#written.length === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const written = this.#written;
    this.#written = [];
    for (const link of written) link.flush();
  }

  #tick(): void {
    for (const link of this.#links) link.tick();
  }
}
