/** Sequence numbers behind the highest that are remembered one by one. */
export const SEQUENCE_WINDOW = 1_024;

/** A device's counter may run in this many places at once: live, and one that is caught up or was before a restart. */
const MAX_WINDOWS = 2;
const BITS = 32;

/**
 * The numbers seen of one run of a device's counter, as in IPsec's anti-replay window (RFC 4303, 3.4.3): the highest and
 * a bitmap of those behind it. Plain data.
 */
export interface SequenceWindow {
  highest: number;
  /** The latest event time among the messages of this run, ms since the epoch. */
  latestTimestamp: number;
  /** Bit `seq % SEQUENCE_WINDOW` is set when seq was seen. */
  readonly seen: Uint32Array;
}

/**
 * Tells whether a message was seen before, and remembers it when not. `windows` belong to one device, the one used last
 * first, and are changed in place.
 *
 * A number that was seen is a duplicate when its event time is not later than all that its run has brought: a
 * device whose counter started again sends seen numbers with later times. Without an event time (`timestamp` is
 * undefined) it is a duplicate when `wasPayloadSeen` says so.
 */
export function isSequenceDuplicate(
  windows: SequenceWindow[],
  seq: number,
  timestamp: number | undefined,
  wasPayloadSeen: boolean,
): boolean {
  for (const window of windows) {
    if (!covers(window, seq) || !isSeen(window, seq)) continue;
    if (timestamp === undefined ? wasPayloadSeen : timestamp <= window.latestTimestamp) return true;
  }
  let at = 0;
  while (at < windows.length && !continues(windows[at] as SequenceWindow, seq)) at++;
  const window = at === windows.length ? openWindow(windows, seq) : moveToFront(windows, at);
  remember(window, seq);
  if (timestamp !== undefined && timestamp > window.latestTimestamp) window.latestTimestamp = timestamp;
  return false;
}

function covers({ highest }: SequenceWindow, seq: number): boolean {
  return seq <= highest && seq > highest - SEQUENCE_WINDOW;
}

function isSeen({ seen }: SequenceWindow, seq: number): boolean {
  const bit = seq % SEQUENCE_WINDOW;
  return ((seen[Math.floor(bit / BITS)] ?? 0) & (1 << (bit % BITS))) !== 0;
}

/** Whether a number not seen before belongs to this run: a gap within the window, or not far ahead of it. */
function continues(window: SequenceWindow, seq: number): boolean {
  if (seq > window.highest) return seq - window.highest <= SEQUENCE_WINDOW;
  return covers(window, seq) && !isSeen(window, seq);
}

function openWindow(windows: SequenceWindow[], seq: number): SequenceWindow {
  const window: SequenceWindow = {
    highest: seq,
    latestTimestamp: Number.NEGATIVE_INFINITY,
    seen: new Uint32Array(SEQUENCE_WINDOW / BITS),
  };
  windows.unshift(window);
  if (windows.length > MAX_WINDOWS) windows.pop();
  return window;
}

function moveToFront(windows: SequenceWindow[], at: number): SequenceWindow {
  const window = windows[at] as SequenceWindow;
  if (at > 0) {
    windows.splice(at, 1);
    windows.unshift(window);
  }
  return window;
}

function remember(window: SequenceWindow, seq: number): void {
  if (seq > window.highest) {
    for (let skipped = window.highest + 1; skipped < seq; skipped++) setBit(window.seen, skipped, false);
    window.highest = seq;
  }
  setBit(window.seen, seq, true);
}

function setBit(seen: Uint32Array, seq: number, isSet: boolean): void {
  const bit = seq % SEQUENCE_WINDOW;
  const word = Math.floor(bit / BITS);
  const mask = 1 << (bit % BITS);
  const present = seen[word] ?? 0;
  seen[word] = isSet ? present | mask : present & ~mask;
}
