import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** What engines take before they have stored anything, and for rows, checkpoints and logs. */
const BASE_BYTES = 768 * 2 ** 20;
/** A message on the disk of the embedded log, and what its free pages and the store add. */
const BYTES_PER_MESSAGE = 640;

/** What a run may store. */
export function diskBytesOf({ rate, seconds }: { readonly rate: number; readonly seconds: number }): number {
  return BASE_BYTES + Math.ceil(rate * seconds) * BYTES_PER_MESSAGE;
}

/** Rejects when there is less space than that. */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes) return;
  const mib = (of: number) => Math.floor(of / 2 ** 20);
  throw new Error(`${folder} has ${mib(bavail * bsize)} MiB left, and the run may store ${mib(bytes)} MiB`);
}

/** What the files of a folder take on its disk, bytes; a disk that is mounted in it counts by the file that it is in. */
export async function sizeOf(folder: string): Promise<number> {
  const { dev } = await lstat(folder);
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true })) {
    // Kafka deletes files of its own meanwhile.
    const found = await lstat(join(folder, entry)).catch(() => undefined);
    if (found?.dev === dev) bytes += found.blocks * 512;
  }
  return bytes;
}
