/** Numbers up to the highest that are remembered one by one, at least. */
export const SEQUENCE_WINDOW = 1_024;
/** Numbers that share a span of event times. */
export const BLOCK = 32;
/** The block that the highest number is in may have begun just now. */
export const BLOCKS = SEQUENCE_WINDOW / BLOCK + 1;

/** A device's counter may run in this many places at once: live, and those that are caught up or were before a restart. */
export const MAX_WINDOWS = 3;

/**
 * The numbers seen of one run of a device's counter, as in IPsec's anti-replay window (RFC 4303, 3.4.3): the highest and
 * a bitmap of those behind it, with the span of the event times of each 32. Plain data; arrays are indexed by block, which
 * is ⌊seq / 32⌋ mod `BLOCKS`.
 */
export interface SequenceWindow {
  highest: number;
  /** Bit seq mod 32 of its block is set when seq was seen. */
  readonly seen: Uint32Array;
  /** Of the block's messages, ms since the epoch; Infinity when none was seen. */
  readonly earliest: Float64Array;
  /** Likewise; -Infinity when none was seen. */
  readonly latest: Float64Array;
}

/**
 * Tells whether a message was seen before: its number was, with an event time among those of its neighbours. A device
 * whose counter started again sends seen numbers with other times, later ones or, where its clock was set back or it
 * delivers what it stored before, earlier ones. It cannot be told where a run repeats the number and falls into the time
 * in which another went through the same 32 numbers.
 */
export function isSequenceDuplicate(
  windows: readonly SequenceWindow[],
  seq: number,
  timestamp: number,
): boolean {
  for (const window of windows) {
    if (isSeen(window, seq) && distanceFrom(window, blockOf(seq), timestamp) === 0) return true;
  }
  return false;
}

/**
 * Remembers a message that is no duplicate: in the run that it continues, of several the one whose event times are
 * nearest, otherwise as the first of a run. `windows` belong to one device, the one used last first.
 */
export function rememberSequence(windows: SequenceWindow[], seq: number, timestamp: number): void {
  let nearest = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at < windows.length; at++) {
    const window = windows[at] as SequenceWindow;
    if (!continues(window, seq)) continue;
    const distance = distanceFrom(window, neighbourOf(window, seq), timestamp);
    if (nearest >= 0 && distance >= least) continue;
    nearest = at;
    least = distance;
  }
  const window = nearest < 0 ? openWindow(windows, seq) : moveToFront(windows, nearest);
  enter(window, seq, timestamp);
}

function blockOf(seq: number): number {
  return Math.floor(seq / BLOCK);
}

function covers({ highest }: SequenceWindow, seq: number): boolean {
  return seq <= highest && blockOf(seq) > blockOf(highest) - BLOCKS;
}

function isSeen(window: SequenceWindow, seq: number): boolean {
  return covers(window, seq) && ((window.seen[blockOf(seq) % BLOCKS] ?? 0) & (1 << (seq % BLOCK))) !== 0;
}

/** Whether a number not seen before belongs to this run: a gap within the window, or not far ahead of it. */
function continues(window: SequenceWindow, seq: number): boolean {
  if (seq > window.highest) return seq - window.highest <= SEQUENCE_WINDOW;
  return covers(window, seq) && !isSeen(window, seq);
}

/** The block whose event times those of `seq` should be near: its own, or the latest. */
function neighbourOf(window: SequenceWindow, seq: number): number {
  const own = blockOf(seq);
  return covers(window, seq) && window.seen[own % BLOCKS] !== 0 ? own : blockOf(window.highest);
}

/** How far outside the block's event times, ms. */
function distanceFrom({ earliest, latest }: SequenceWindow, block: number, timestamp: number): number {
  const [from, to] = [earliest[block % BLOCKS] ?? 0, latest[block % BLOCKS] ?? 0];
  return Math.max(from - timestamp, timestamp - to, 0);
}

function openWindow(windows: SequenceWindow[], seq: number): SequenceWindow {
  const window = createSequenceWindow(seq);
  windows.unshift(window);
  if (windows.length > MAX_WINDOWS) windows.pop();
  return window;
}

/** A run of which nothing was seen. */
export function createSequenceWindow(highest: number): SequenceWindow {
  return {
    highest,
    seen: new Uint32Array(BLOCKS),
    earliest: new Float64Array(BLOCKS).fill(Number.POSITIVE_INFINITY),
    latest: new Float64Array(BLOCKS).fill(Number.NEGATIVE_INFINITY),
  };
}

function moveToFront(windows: SequenceWindow[], at: number): SequenceWindow {
  const window = windows[at] as SequenceWindow;
  if (at > 0) {
    windows.splice(at, 1);
    windows.unshift(window);
  }
  return window;
}

function enter(window: SequenceWindow, seq: number, timestamp: number): void {
  const block = blockOf(seq);
  const { seen, earliest, latest } = window;
  if (seq > window.highest) {
    for (let begun = blockOf(window.highest) + 1; begun <= block; begun++) {
      seen[begun % BLOCKS] = 0;
      earliest[begun % BLOCKS] = Number.POSITIVE_INFINITY;
      latest[begun % BLOCKS] = Number.NEGATIVE_INFINITY;
    }
    window.highest = seq;
  }
  const at = block % BLOCKS;
  seen[at] = (seen[at] ?? 0) | (1 << (seq % BLOCK));
  earliest[at] = Math.min(earliest[at] ?? timestamp, timestamp);
  latest[at] = Math.max(latest[at] ?? timestamp, timestamp);
}
