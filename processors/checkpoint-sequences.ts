import type { CheckpointReader } from './checkpoint-reader.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';
import { SEQUENCE_WINDOW, type SequenceWindow } from './sequence-window.ts';

const WORD_BITS = 32;
const WORDS = SEQUENCE_WINDOW / WORD_BITS;
const BITMAP_BYTES = SEQUENCE_WINDOW / 8;
/** Stands before a bitmap, where the length of the first run would be. */
const BITMAP = 0;

const runs = new Uint16Array(SEQUENCE_WINDOW);

/** Writes a run of a device's counter; `lastSeen` is near its latest event time. */
export function writeSequenceWindow(
  writer: CheckpointWriter,
  { highest, latestTimestamp, seen }: SequenceWindow,
  lastSeen: number,
): void {
  if (seen.length !== WORDS) throw new RangeError(`${seen.length} words of seen numbers`);
  writer.varint(highest);
  const hasTime = latestTimestamp !== Number.NEGATIVE_INFINITY;
  writer.byte(hasTime ? 1 : 0);
  if (hasTime) writer.signed(lastSeen - latestTimestamp);
  writeSeen(writer, seen, highest % SEQUENCE_WINDOW);
}

export function readSequenceWindow(reader: CheckpointReader, lastSeen: number): SequenceWindow {
  const highest = reader.varint();
  const hasTime = reader.upTo(1, 'as a flag') === 1;
  const latestTimestamp = hasTime ? lastSeen - reader.signed() : Number.NEGATIVE_INFINITY;
  if (hasTime && !Number.isSafeInteger(latestTimestamp)) throw reader.damaged(`the time ${latestTimestamp}`);
  return { highest, latestTimestamp, seen: readSeen(reader, highest % SEQUENCE_WINDOW) };
}

/** Seen and unseen numbers alternate from the highest downwards: run lengths, or the bitmap where it is shorter. */
function writeSeen(writer: CheckpointWriter, seen: Uint32Array, top: number): void {
  let count = 0;
  let bytes = 0;
  for (let left = SEQUENCE_WINDOW; left > 0; count++) {
    const isSeen = count % 2 === 0;
    const length = runLength(seen, (top + left) % SEQUENCE_WINDOW, isSeen, left);
    runs[count] = length;
    bytes += length < 0x80 ? 1 : 2;
    left -= length;
    if (length === 0) throw new RangeError('the highest number was not seen');
  }
  if (bytes <= BITMAP_BYTES) {
    for (let i = 0; i < count; i++) writer.varint(runs[i] ?? 0);
    return;
  }
  writer.varint(BITMAP);
  for (const word of seen) writer.word(word);
}

/** How many bits from `from` downwards, around the end, are alike; at most `most`. */
function runLength(seen: Uint32Array, from: number, isSeen: boolean, most: number): number {
  let length = 0;
  let bit = from;
  while (length < most) {
    const word = seen[Math.floor(bit / WORD_BITS)] ?? 0;
    const below = (bit % WORD_BITS) + 1;
    const alike = Math.min(below, Math.clz32((isSeen ? ~word : word) << (WORD_BITS - below)));
    length += alike;
    if (alike < below) break;
    bit = (bit - below + SEQUENCE_WINDOW) % SEQUENCE_WINDOW;
  }
  return Math.min(length, most);
}

function readSeen(reader: CheckpointReader, top: number): Uint32Array {
  const seen = new Uint32Array(WORDS);
  let length = reader.upTo(SEQUENCE_WINDOW, 'numbers seen');
  if (length === BITMAP) {
    for (let word = 0; word < WORDS; word++) seen[word] = reader.word();
    if (!isSet(seen, top)) throw reader.damaged('the highest number was not seen');
    return seen;
  }
  let left = SEQUENCE_WINDOW;
  for (let isSeen = true; ; isSeen = !isSeen) {
    if (isSeen) setBits(seen, top + left, length);
    left -= length;
    if (left === 0) return seen;
    length = reader.upTo(left, 'numbers in a run');
    if (length === 0) throw reader.damaged('an empty run of numbers');
  }
}

/** Sets `length` bits from `from` downwards. */
function setBits(seen: Uint32Array, from: number, length: number): void {
  for (let bit = from; bit > from - length; bit--) {
    const word = Math.floor((bit % SEQUENCE_WINDOW) / WORD_BITS);
    seen[word] = (seen[word] ?? 0) | (1 << (bit % WORD_BITS));
  }
}

function isSet(seen: Uint32Array, bit: number): boolean {
  return ((seen[Math.floor(bit / WORD_BITS)] ?? 0) & (1 << (bit % WORD_BITS))) !== 0;
}
