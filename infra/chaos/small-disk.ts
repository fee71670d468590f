import { execFile } from 'node:child_process';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const BALLAST = 'ballast';
const RESERVED_SHARE = 0.98;
const LARGEST_PIECE = 1 << 20;
const SMALLEST_PIECE = 512;
const UNMOUNT_ATTEMPTS = 50;
const UNMOUNT_RETRY_MS = 100;

/** A file system of its own in a file, mounted at a folder, that can be filled to its last block. */
export class SmallDisk {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes one at `folder`, its file beside it; undefined, with a line that says why, where that is not allowed. */
  static async mount(
    folder: string,
    bytes: number,
    say: (line: string) => void,
  ): Promise<SmallDisk | undefined> {
    const image = `${folder}.img`;
    try {
      await mkdir(folder, { recursive: true });
      const file = await open(image, 'w');
      await file.truncate(bytes);
      await file.close();
      await run('mkfs.ext4', ['-q', '-m', '0', image]);
      await run('mount', ['-o', 'loop', image, folder]);
      return new SmallDisk(folder);
    } catch (error) {
      const [reason] = (error instanceof Error ? error.message : String(error)).trim().split('\n').slice(-1);
      say(`fill-disk does nothing here, no small disk can be mounted: ${reason}`);
      await rm(image, { force: true });
      return undefined;
    }
  }

  /** Writes until nothing more fits. */
  async fill(): Promise<void> {
    const path = join(this.#folder, BALLAST);
    const { bavail, bsize } = await statfs(this.#folder);
    const most = Math.floor(bavail * bsize * RESERVED_SHARE);
    // Reserves blocks without writing them; where others take space meanwhile it may fail, and costs only time.
    if (most > 0) await run('fallocate', ['-l', `${most}`, path]).catch(() => {});
    const file = await open(path, 'a');
    try {
      for (let size = LARGEST_PIECE; size >= SMALLEST_PIECE; size /= 2) await writeUntilFull(file, size);
    } finally {
      await file.close();
    }
  }

  async free(): Promise<void> {
    await rm(join(this.#folder, BALLAST), { force: true });
  }

  /** Nobody may use it any more. Its file keeps what was stored. */
  async unmount(): Promise<void> {
    await this.free();
    // A process that was killed a moment ago may still have files open.
    for (let attempt = 0; attempt < UNMOUNT_ATTEMPTS; attempt++) {
      const isUnmounted = await run('umount', [this.#folder]).then(
        () => true,
        () => false,
      );
      if (isUnmounted) return;
      await delay(UNMOUNT_RETRY_MS);
    }
    await run('umount', ['--lazy', this.#folder]);
  }
}

async function writeUntilFull(file: Awaited<ReturnType<typeof open>>, size: number): Promise<void> {
  const piece = Buffer.alloc(size);
  for (;;) {
    try {
      await file.write(piece);
      await file.datasync();
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return;
      throw error;
    }
  }
}
