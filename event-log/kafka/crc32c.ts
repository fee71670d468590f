/** Castagnoli's polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const BYTE_VALUES = 256;
/** Bytes taken in one step. Twice as many gain a tenth more; one at a time takes three times as long (measured). */
const SLICES = 8;

const TABLES = createTables();

/** CRC-32C of the bytes from `from` up to `to`, as an unsigned integer ("slicing by 8", Kounavis and Berry, 2005). */
export function crc32c(bytes: Uint8Array, from: number, to: number): number {
  let crc = -1;
  let at = from;
  for (const last = to - SLICES; at <= last; at += SLICES) {
    crc ^=
      byte(bytes, at) |
      (byte(bytes, at + 1) << 8) |
      (byte(bytes, at + 2) << 16) |
      (byte(bytes, at + 3) << 24);
    crc =
      remainder(7, crc & 0xff) ^
      remainder(6, (crc >>> 8) & 0xff) ^
      remainder(5, (crc >>> 16) & 0xff) ^
      remainder(4, crc >>> 24) ^
      remainder(3, byte(bytes, at + 4)) ^
      remainder(2, byte(bytes, at + 5)) ^
      remainder(1, byte(bytes, at + 6)) ^
      remainder(0, byte(bytes, at + 7));
  }
  for (; at < to; at++) crc = remainder(0, (crc ^ byte(bytes, at)) & 0xff) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** One table after the other: what a byte leaves over when `slice` bytes follow it. */
function createTables(): Int32Array {
  const tables = new Int32Array(SLICES * BYTE_VALUES);
  for (let value = 0; value < BYTE_VALUES; value++) {
    let crc = value;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[value] = crc;
  }
  for (let index = BYTE_VALUES; index < tables.length; index++) {
    const before = tables[index - BYTE_VALUES] ?? 0;
    tables[index] = (tables[before & 0xff] ?? 0) ^ (before >>> 8);
  }
  return tables;
}

function remainder(slice: number, value: number): number {
  return TABLES[slice * BYTE_VALUES + value] ?? 0;
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
