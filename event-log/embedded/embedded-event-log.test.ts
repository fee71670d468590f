import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describeEventLogContract, type EventLogStorage } from '../event-log.contract.ts';
import { openEmbeddedEventLog } from './embedded-event-log.ts';

const run = promisify(execFile);
/** A full disk, as the operating system reports one: every write beyond the limit on file sizes fails. */
const limitFileSize = (bytes: string) => run('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:`]);
const canLimit = await limitFileSize('unlimited').then(
  () => true,
  () => false,
);

async function openStorage(): Promise<EventLogStorage> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  return {
    openLog: (options) => openEmbeddedEventLog({ folder, ...options }),
    makeUnavailable: async () => void (await limitFileSize('0')),
    makeAvailable: async () => void (await limitFileSize('unlimited')),
    cleanUp: () => rm(folder, { recursive: true, force: true }),
  };
}

const oneMember = 'an embedded log belongs to one process and its groups have one member';
const noFault = 'prlimit is missing here, so no write can be made to fail';

describeEventLogContract('embedded', {
  openStorage,
  skip: {
    sharing: oneMember,
    lost: oneMember,
    ...(canLimit ? {} : { unavailable: noFault, interrupted: noFault }),
  },
});
