import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { open, type RootDatabase } from 'lmdb';
import { EventLogFolderError, EventLogUnavailableError } from '../errors.ts';
import { checkDatabaseFile, DATABASE_FILE } from './database-file.ts';
import { Headroom } from './headroom.ts';

/** One change of the store. */
export type StoreWrite =
  | { readonly kind: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly kind: 'remove'; readonly key: Buffer };

/**
 * What a write is for: `growth` adds records and is refused first when the disk is full, `upkeep` (positions, removals) goes on
 * in the room that is kept for it.
 */
export type WritePurpose = 'growth' | 'upkeep';

export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
  readonly reverse?: boolean;
  readonly limit: number;
}

type Database = RootDatabase<Buffer, Buffer>;

interface QueuedWrite {
  readonly purpose: WritePurpose;
  readonly writes: readonly StoreWrite[];
  readonly resolve: () => void;
  readonly reject: (error: EventLogUnavailableError) => void;
}

/** Pages that one changed key may touch, and what the transaction itself needs; bounds, not measures. */
const BYTES_PER_WRITE = 16 * 1024;
const BYTES_PER_TRANSACTION = 1024 * 1024;
const UPKEEP_BYTES = 4 * 1024 * 1024;

/**
 * The key-value store of a folder: synchronous reads from the memory map, and durable grouped writes. What is
 * visible to reads is durable.
 */
export class Store {
  readonly #folder: string;
  readonly #headroom: Headroom;
  /** Undefined while the files are closed because a write failed. */
  #db: Database | undefined;
  #queue: QueuedWrite[] = [];
  #draining: Promise<void> | undefined;

  /** Opens the store of a folder, which must exist and be owned. Throws `EventLogFolderError`. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#headroom = new Headroom(join(folder, DATABASE_FILE));
    try {
      this.#db = openDatabase(folder);
    } catch (cause) {
      throw new EventLogFolderError(
        `${folder} does not hold an event log that can be read; restore it or name an empty folder`,
        { cause },
      );
    }
  }

  /** Throws `EventLogUnavailableError` while the store recovers from a failed write. */
  get(key: Buffer): Buffer | undefined {
    return this.#opened().getBinary(key);
  }

  /** Throws `EventLogUnavailableError` while the store recovers from a failed write. */
  keys(range: KeyRange): Buffer[] {
    return [...this.#opened().getKeys(range)];
  }

  /**
   * Makes the writes durable, all or none. Calls made while a transaction is in flight share the next one.
   * Rejects with `EventLogUnavailableError` when the disk refuses; the store stays usable.
   */
  write(writes: readonly StoreWrite[], purpose: WritePurpose): Promise<void> {
    const written = new Promise<void>((resolve, reject) =>
      this.#queue.push({ purpose, writes, resolve, reject }),
    );
    this.#draining ??= this.#drain();
    return written;
  }

  /** Waits for the writes that were made and closes the files. */
  async close(): Promise<void> {
    await this.#draining;
    await this.#headroom.close();
    await this.#db?.close();
  }

  #opened(): Database {
    if (this.#db !== undefined) return this.#db;
    throw new EventLogUnavailableError('the event log recovers from a failed write');
  }

  async #drain(): Promise<void> {
    for (;;) {
      // Those who were waiting for the last transaction get to add to this one.
      await nextTurn();
      const group = this.#queue;
      if (group.length === 0) break;
      this.#queue = [];
      await this.#commit(group);
    }
    this.#draining = undefined;
  }

  async #commit(group: readonly QueuedWrite[]): Promise<void> {
    try {
      this.#db ??= openDatabase(this.#folder);
    } catch (cause) {
      return rejectAll(group, cause);
    }
    const admitted = await this.#admit(this.#db, group);
    if (admitted.length === 0) return;
    try {
      await putAll(this.#db, admitted);
    } catch (failure) {
      const cause = await causeOf(failure);
      await this.#reopen();
      return rejectAll(admitted, cause);
    }
    for (const { resolve } of admitted) resolve();
  }

  /** The writes for which there is room; the others are rejected. */
  async #admit(db: Database, group: readonly QueuedWrite[]): Promise<readonly QueuedWrite[]> {
    const used = () => usedBytes(db);
    try {
      await this.#headroom.reserve(bytesOf(group), UPKEEP_BYTES, used);
      return group;
    } catch (full) {
      const upkeep = group.filter(({ purpose }) => purpose === 'upkeep');
      rejectAll(
        group.filter(({ purpose }) => purpose === 'growth'),
        full,
      );
      if (upkeep.length === 0) return [];
      try {
        await this.#headroom.reserve(bytesOf(upkeep), 0, used);
        return upkeep;
      } catch (cause) {
        rejectAll(upkeep, cause);
        return [];
      }
    }
  }

  /**
   * When a transaction fails at its very last page, LMDB refuses every later one until it is opened again, and the
   * library would wait for ever. Which kind of failure it was cannot be asked.
   */
  async #reopen(): Promise<void> {
    const failed = this.#db;
    this.#db = undefined;
    await failed?.close();
    try {
      this.#db = openDatabase(this.#folder);
    } catch {
      // The next write opens it, or reports why it cannot.
    }
  }
}

function openDatabase(folder: string): Database {
  checkDatabaseFile(folder);
  return open({
    path: folder,
    noSubdir: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    // A transaction becomes visible only after its pages are on the disk, so that what is read is durable and a
    // failed sync fails the transaction. Only one is in flight, so there would be nothing to overlap.
    overlappingSync: false,
    // With it, a failed transaction rejects a promise inside the library that nobody can handle.
    eventTurnBatching: false,
  });
}

function rejectAll(group: readonly QueuedWrite[], cause: unknown): void {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const error = new EventLogUnavailableError(`the event log could not be written: ${reason}`, { cause });
  for (const { reject } of group) reject(error);
}

/** No fewer bytes than a transaction of these writes can add to the file. */
function bytesOf(group: readonly QueuedWrite[]): number {
  let bytes = BYTES_PER_TRANSACTION;
  for (const { writes } of group) {
    for (const write of writes) bytes += BYTES_PER_WRITE + (write.kind === 'put' ? write.value.length : 0);
  }
  return bytes;
}

/** The end of the last page in use. */
function usedBytes(db: Database): number {
  const stats: Readonly<{ pageSize?: unknown; lastPageNumber?: unknown }> = db.getStats();
  return (Number(stats.lastPageNumber) + 1) * Number(stats.pageSize);
}

/** One transaction: `batch` is what keeps the writes together when `eventTurnBatching` is off. */
async function putAll(db: Database, group: readonly QueuedWrite[]): Promise<void> {
  await db.batch(() => {
    for (const { writes } of group) {
      for (const write of writes) {
        if (write.kind === 'put') db.put(write.key, write.value);
        else db.remove(write.key);
      }
    }
  });
}

/** The library rejects with an error whose `commitError` is a promise that rejects with the cause. */
async function causeOf(failure: unknown): Promise<Error> {
  const error = failure instanceof Error ? failure : new Error(String(failure));
  if (!('commitError' in error)) return error;
  const cause = Promise.resolve(error.commitError).catch((reason: unknown) => reason);
  const settled: unknown = await Promise.race([cause, nextTurn(error)]);
  return settled instanceof Error ? settled : error;
}
