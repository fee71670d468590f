import type { Commit } from '../event-log.ts';

const VERSION = 1;
const METADATA_AT = 9;

/** The stored form of a consumer group's position. FORMAT.md draws it byte by byte. */
export function encodeCommit({ offset, metadata }: Commit): Buffer {
  const bytes = Buffer.allocUnsafe(METADATA_AT + Buffer.byteLength(metadata));
  bytes[0] = VERSION;
  bytes.writeBigUInt64BE(offset, 1);
  bytes.write(metadata, METADATA_AT, 'utf8');
  return bytes;
}

/** Throws when the bytes are not a commit of a known version. */
export function decodeCommit(bytes: Buffer): Commit {
  if (bytes[0] !== VERSION) throw new Error(`a stored commit has the unknown version ${bytes[0]}`);
  return { offset: bytes.readBigUInt64BE(1), metadata: bytes.toString('utf8', METADATA_AT) };
}
