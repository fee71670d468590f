import { type FileHandle, open } from 'node:fs/promises';

const STEP_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(1024 * 1024);

/**
 * Keeps disk blocks allocated behind the last page that the database uses, by writing zeros there, so that a full disk
 * is met here and not inside LMDB: its binding overruns a buffer when it words that error, which can end the process.
 */
export class Headroom {
  readonly #path: string;
  #file: FileHandle | undefined;
  /** Never more than what is allocated and unused. */
  #availableBytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Resolves when `bytes` are allocated beyond `usedBytes()`, the end of the last page in use, and `spareBytes` more
   * stay behind them. Rejects with the file system's error when there is no room.
   */
  async reserve(bytes: number, spareBytes: number, usedBytes: () => number): Promise<void> {
    if (this.#availableBytes < bytes + spareBytes) await this.#extend(bytes + spareBytes, usedBytes());
    this.#availableBytes -= bytes;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #extend(bytes: number, usedBytes: number): Promise<void> {
    this.#file ??= await open(this.#path, 'r+');
    let { size } = await this.#file.stat();
    this.#availableBytes = size - usedBytes;
    if (this.#availableBytes >= bytes) return;
    const target = usedBytes + bytes + STEP_BYTES;
    while (size < target) {
      const { bytesWritten } = await this.#file.write(ZEROS, 0, Math.min(ZEROS.length, target - size), size);
      size += bytesWritten;
      this.#availableBytes = size - usedBytes;
    }
  }
}
