import type { CheckpointReader } from './checkpoint-reader.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';
import { BLOCK, BLOCKS, createSequenceWindow, type SequenceWindow } from './sequence-window.ts';

/** Numbers that a run can remember: block by block, around the end. */
const CAPACITY = BLOCKS * BLOCK;
const BITMAP_BYTES = CAPACITY / 8;
/** Stands before a bitmap, where the length of the first run would be. */
const BITMAP = 0;

const runs = new Uint16Array(CAPACITY);

/** Writes a run of a device's counter; `lastSeen` is near its latest event time. */
export function writeSequenceWindow(
  writer: CheckpointWriter,
  { highest, seen, earliest, latest }: SequenceWindow,
  lastSeen: number,
): void {
  if (seen.length !== BLOCKS) throw new RangeError(`${seen.length} blocks of seen numbers`);
  writer.varint(highest);
  writeSeen(writer, seen, highest % CAPACITY);
  let later = lastSeen;
  for (const at of blocksFrom(highest)) {
    if (seen[at] === 0) continue;
    const [from, to] = [earliest[at] ?? 0, latest[at] ?? 0];
    writer.signed(later - to);
    writer.varint(to - from);
    later = from;
  }
}

export function readSequenceWindow(reader: CheckpointReader, lastSeen: number): SequenceWindow {
  const window = createSequenceWindow(reader.varint());
  const { highest, seen, earliest, latest } = window;
  readSeen(reader, seen, highest % CAPACITY);
  const above =
    (seen[Math.floor((highest % CAPACITY) / BLOCK)] ?? 0) &
    ~(0xffff_ffff >>> (BLOCK - 1 - (highest % BLOCK)));
  if (above !== 0) throw reader.damaged('a number above the highest was seen');
  let later = lastSeen;
  for (const at of blocksFrom(highest)) {
    if (seen[at] === 0) continue;
    const to = later - reader.signed();
    const from = to - reader.varint();
    if (!Number.isSafeInteger(to) || !Number.isSafeInteger(from))
      throw reader.damaged(`the times ${from} to ${to}`);
    latest[at] = to;
    earliest[at] = from;
    later = from;
  }
  return window;
}

/** Where the blocks are, from that of the highest number downwards. */
function* blocksFrom(highest: number): Iterable<number> {
  const top = Math.floor((highest % CAPACITY) / BLOCK);
  for (let back = 0; back < BLOCKS; back++) yield (top - back + BLOCKS) % BLOCKS;
}

/** Seen and unseen numbers alternate from the highest downwards: run lengths, or the bitmap where it is shorter. */
function writeSeen(writer: CheckpointWriter, seen: Uint32Array, top: number): void {
  let count = 0;
  let bytes = 0;
  for (let left = CAPACITY; left > 0; count++) {
    const isSeen = count % 2 === 0;
    const length = runLength(seen, (top + left) % CAPACITY, isSeen, left);
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
    const word = seen[Math.floor(bit / BLOCK)] ?? 0;
    const below = (bit % BLOCK) + 1;
    const alike = Math.min(below, Math.clz32((isSeen ? ~word : word) << (BLOCK - below)));
    length += alike;
    if (alike < below) break;
    bit = (bit - below + CAPACITY) % CAPACITY;
  }
  return Math.min(length, most);
}

function readSeen(reader: CheckpointReader, seen: Uint32Array, top: number): void {
  let length = reader.upTo(CAPACITY, 'numbers seen');
  if (length === BITMAP) {
    for (let block = 0; block < BLOCKS; block++) seen[block] = reader.word();
    if (!isSet(seen, top)) throw reader.damaged('the highest number was not seen');
    return;
  }
  let left = CAPACITY;
  for (let isSeen = true; ; isSeen = !isSeen) {
    if (isSeen) setBits(seen, top + left, length);
    left -= length;
    if (left === 0) return;
    length = reader.upTo(left, 'numbers in a run');
    if (length === 0) throw reader.damaged('an empty run of numbers');
  }
}

/** Sets `length` bits from `from` downwards. */
function setBits(seen: Uint32Array, from: number, length: number): void {
  for (let bit = from; bit > from - length; bit--) {
    const word = Math.floor((bit % CAPACITY) / BLOCK);
    seen[word] = (seen[word] ?? 0) | (1 << (bit % BLOCK));
  }
}

function isSet(seen: Uint32Array, bit: number): boolean {
  return ((seen[Math.floor(bit / BLOCK)] ?? 0) & (1 << (bit % BLOCK))) !== 0;
}
