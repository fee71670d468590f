import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventLogFolderError } from '../errors.ts';

const OWNER = /^owner-(\d+)\.sock$/;
const PID_FILE = 'owner.pid';
const CONNECT_TIMEOUT_MS = 2_000;
/** `sun_path` takes 104 bytes on macOS and 108 on Linux, the end included. */
const MAX_SOCKET_PATH_BYTES = 100;

/** Ownership of a folder by one process. */
export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Takes a folder for this process, or throws an `EventLogFolderError` that names the owner.
 *
 * An owner listens on a socket in the folder, which the operating system closes however the process ends: a socket
 * that refuses connections is stale. Owners are numbered. A process may claim number n + 1 only when it found n
 * stale, by linking its listening socket to that name, which succeeds for one process only. The highest number is
 * never removed, so it always tells who owns the folder; that holds across containers that share the folder too,
 * where process ids mean nothing.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  await mkdir(folder, { recursive: true });
  const sockets = await openSocketFolder(folder);
  try {
    return await claim(folder, sockets.path);
  } finally {
    await sockets.close();
  }
}

async function claim(folder: string, socketFolder: string): Promise<FolderLock> {
  const name = `claim-${randomUUID().slice(0, 8)}.sock`;
  const server = await listen(join(socketFolder, name));
  try {
    const generation = await claimGeneration(folder, socketFolder, name);
    await writeFile(join(folder, PID_FILE), `${process.pid}\n`);
    await removeOlder(folder, generation);
  } catch (error) {
    await closeServer(server);
    throw error;
  } finally {
    await rm(join(folder, name), { force: true });
  }
  return { release: () => closeServer(server) };
}

async function claimGeneration(folder: string, socketFolder: string, name: string): Promise<number> {
  for (;;) {
    const newest = await newestGeneration(folder);
    if (newest > 0 && (await answers(join(socketFolder, socketName(newest))))) throw await owned(folder);
    const mine = newest + 1;
    if (!(await linkOnce(join(folder, name), join(folder, socketName(mine))))) continue;
    if ((await newestGeneration(folder)) === mine) return mine;
    await unlink(join(folder, socketName(mine))).catch(ignoreMissing);
  }
}

async function owned(folder: string): Promise<EventLogFolderError> {
  const pid = await readFile(join(folder, PID_FILE), 'utf8').then(
    (text) => text.trim(),
    () => 'unknown',
  );
  return new EventLogFolderError(
    `${folder} belongs to the running process ${pid}; stop that process or name another folder`,
  );
}

async function newestGeneration(folder: string): Promise<number> {
  return Math.max(0, ...(await generations(folder)));
}

async function generations(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => {
    const generation = OWNER.exec(name)?.[1];
    return generation === undefined ? [] : [Number(generation)];
  });
}

async function removeOlder(folder: string, generation: number): Promise<void> {
  for (const older of await generations(folder)) {
    if (older < generation) await rm(join(folder, socketName(older)), { force: true });
  }
}

function socketName(generation: number): string {
  return `owner-${generation}.sock`;
}

async function linkOnce(existing: string, path: string): Promise<boolean> {
  try {
    await link(existing, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve(server);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Whether a process listens; one that is too busy to accept in time is alive. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (alive: boolean) => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', (error) => settle(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '')));
  });
}

/** A path to the folder that is short enough for sockets: the folder itself or a link to it. */
async function openSocketFolder(folder: string): Promise<{ path: string; close(): Promise<void> }> {
  const longest = Buffer.byteLength(join(folder, socketName(Number.MAX_SAFE_INTEGER)));
  if (longest <= MAX_SOCKET_PATH_BYTES) return { path: folder, close: async () => undefined };
  const path = join(tmpdir(), `sluice-${randomUUID().slice(0, 8)}`);
  await symlink(folder, path);
  return { path, close: () => unlink(path) };
}

function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
