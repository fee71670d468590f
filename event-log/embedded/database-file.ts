import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

export const DATABASE_FILE = 'data.mdb';
const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const DATA_VERSION = 2;
const DATA_VERSION_AT = 28;
const HEADER_BYTES = 30;

/**
 * Throws when the folder's database file is there and not one of LMDB's: the library does not refuse it but ends
 * the process. An empty file is a new database.
 */
export function checkDatabaseFile(folder: string): void {
  const header = readStart(join(folder, DATABASE_FILE));
  if (header === undefined || header.length === 0) return;
  if (header.length < HEADER_BYTES || header.readUInt32LE(MAGIC_AT) !== MAGIC) {
    throw new Error(`${DATABASE_FILE} is not a database`);
  }
  const version = header.readUInt16LE(DATA_VERSION_AT);
  if (version !== DATA_VERSION) throw new Error(`${DATABASE_FILE} has the data version ${version}`);
}

/** The first bytes of a file; undefined when there is none. */
function readStart(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(HEADER_BYTES);
    return bytes.subarray(0, readSync(file, bytes, 0, HEADER_BYTES, 0));
  } finally {
    closeSync(file);
  }
}
