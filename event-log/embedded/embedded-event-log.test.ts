import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { EventLogUnavailableError } from '../errors.ts';
import { describeEventLogContract, type EventLogStorage } from '../event-log.contract.ts';
import { openEmbeddedEventLog } from './embedded-event-log.ts';
import { HeldWrites } from './held-writes.fixture.ts';

async function openStorage(): Promise<EventLogStorage> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  const held = new HeldWrites();
  let aheadMs = 0;
  return {
    openLog: (options) => openEmbeddedEventLog({ folder, clock: () => Date.now() + aheadMs, ...options }),
    makeUnavailable: () => held.hold(folder),
    makeAvailable: () => held.release(),
    expire: async () => {
      aheadMs += 2 * 3_600_000;
    },
    cleanUp: () => rm(folder, { recursive: true, force: true }),
  };
}

const oneMember = 'an embedded log belongs to one process and its groups have one member';
describeEventLogContract('embedded', {
  openStorage,
  skip: {
    sharing: oneMember,
    lost: oneMember,
    startRebalanced: oneMember,
    checkpointsOfOthers: oneMember,
  },
});

const run = promisify(execFile);
/** A full disk for this process: a file cannot grow beyond the limit, and what is within it can be written. */
const limitFileSize = (bytes: number | 'unlimited') =>
  run('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:`]);
const canLimit = await limitFileSize('unlimited').then(
  () => true,
  () => false,
);

test.skipIf(!canLimit)(
  'on a full disk appends are refused, retryably, positions are still stored, and all goes on when there is room',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-full-'));
    const topics = [{ name: 'topic', partitions: 1, retentionMs: 3_600_000, maxRecordBytes: 1024 * 1024 }];
    const log = await openEmbeddedEventLog({ folder, topics, appendTimeoutMs: 1_000 });
    try {
      let stored = 0n;
      const append = async () => {
        stored = (await log.append('topic', 0, 'device', Buffer.alloc(500_000, Number(stored)))) + 1n;
      };
      await append();
      await limitFileSize((await stat(join(folder, 'data.mdb'))).size);
      const refused = await fillUp(append);
      expect(refused).toBeInstanceOf(EventLogUnavailableError);
      expect(refused).toMatchObject({ retryable: true, message: expect.stringContaining('EFBIG') });

      const handled: bigint[] = [];
      const consumer = await log.consume({
        topic: 'topic',
        group: 'group',
        onAssigned: () => undefined,
        onRevoked: () => undefined,
        onBatch: async ({ records }) => {
          handled.push(...records.map(({ offset }) => offset));
          return { offset: BigInt(handled.length), metadata: '' };
        },
        onError: (error) => {
          throw error;
        },
      });
      await vi.waitFor(() => expect(handled.length).toBe(Number(stored)), { timeout: 10_000 });
      await consumer.close();

      await limitFileSize('unlimited');
      await vi.waitFor(append, { timeout: 10_000 });
    } finally {
      await limitFileSize('unlimited');
      await log.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
);

async function fillUp(append: () => Promise<void>): Promise<unknown> {
  for (let i = 0; i < 100; i++) {
    try {
      await append();
    } catch (error) {
      return error;
    }
  }
  throw new Error('the disk took everything');
}
