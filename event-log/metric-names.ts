/** Names remembered; beyond it all are forgotten at once. */
const MAX_NAMES = 10_000;

interface KnownName {
  readonly text: string;
  /** The message that it was last found in. */
  foundIn: number;
}

/**
 * The strings of metric names, found by their bytes: names repeat from message to message, and building their strings
 * anew is most of the cost of reading them.
 */
export class MetricNames {
  readonly #known = new Map<number, KnownName>();
  #message = 0;

  /** The names that follow belong to another message. */
  nextMessage(): void {
    this.#message = (this.#message + 1) % 2 ** 30;
  }

  /**
   * The name whose ASCII bytes these are. `hash` is a function of them. Undefined when it was found in this message
   * already, or might have been.
   */
  find(bytes: Buffer, from: number, to: number, hash: number): string | undefined {
    const known = this.#known.get(hash);
    if (known === undefined) return this.#add(bytes, from, to, hash);
    if (known.foundIn === this.#message || !spells(known.text, bytes, from, to)) return undefined;
    known.foundIn = this.#message;
    return known.text;
  }

  #add(bytes: Buffer, from: number, to: number, hash: number): string | undefined {
    if (this.#known.size >= MAX_NAMES) {
      this.#known.clear();
      return undefined;
    }
    const text = bytes.toString('latin1', from, to);
    this.#known.set(hash, { text, foundIn: this.#message });
    return text;
  }
}

function spells(text: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (text.length !== to - from) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false;
  return true;
}
