import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventLogFolderError, TopicMismatchError } from '../errors.ts';
import type { TopicSpec } from '../topics.ts';
import { openEmbeddedEventLog } from './embedded-event-log.ts';
import { FORMAT_KEY } from './keys.ts';
import { Store } from './store.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-topics-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const topic = (name: string, partitions: number): TopicSpec => ({
  name,
  partitions,
  retentionMs: 3_600_000,
  maxRecordBytes: 1_000,
});

async function openAndClose(...topics: TopicSpec[]): Promise<void> {
  const log = await openEmbeddedEventLog({ folder, topics });
  await log.close();
}

test('another number of partitions is refused with both numbers, the folder and the way out', async () => {
  await openAndClose(topic('telemetry', 12));
  const opened = openAndClose(topic('telemetry', 6));
  await expect(opened).rejects.toThrow(TopicMismatchError);
  await expect(opened).rejects.toThrow(
    `the topic telemetry has 12 partitions in ${folder} and 6 in the configuration: ` +
      'configure 12, or name an empty folder to begin again with 6',
  );
});

test('a refused opening leaves the folder free', async () => {
  await openAndClose(topic('telemetry', 12));
  await expect(openAndClose(topic('telemetry', 6))).rejects.toThrow(TopicMismatchError);
  await openAndClose(topic('telemetry', 12));
});

test('a topic may be added to a folder', async () => {
  await openAndClose(topic('telemetry', 12));
  await openAndClose(topic('telemetry', 12), topic('quarantine', 3));
  await expect(openAndClose(topic('quarantine', 4))).rejects.toThrow(TopicMismatchError);
});

test('a folder in another format is refused with both formats', async () => {
  await openAndClose(topic('telemetry', 12));
  const store = new Store(folder);
  await store.write([{ kind: 'put', key: FORMAT_KEY, value: Buffer.from([9]) }], 'upkeep');
  await store.close();
  const opened = openAndClose(topic('telemetry', 12));
  await expect(opened).rejects.toThrow(EventLogFolderError);
  await expect(opened).rejects.toThrow('has the format 9 and this version reads 1');
});

test.each([
  ['short', 'short'],
  ['long', 'not a database, but long enough to be looked at '.repeat(300)],
])('a folder whose %s file is something else is refused by name', async (_, content) => {
  await writeFile(join(folder, 'data.mdb'), content);
  const opened = openAndClose(topic('telemetry', 12));
  await expect(opened).rejects.toThrow(EventLogFolderError);
  await expect(opened).rejects.toThrow(`${folder} does not hold an event log that can be read`);
});

test('a folder that cannot be created is refused by name', async () => {
  await writeFile(join(folder, 'file'), '');
  const opened = openEmbeddedEventLog({ folder: join(folder, 'file', 'log'), topics: [] });
  await expect(opened).rejects.toThrow(EventLogFolderError);
  await expect(opened).rejects.toThrow(/file\/log cannot be used for the event log/);
});

test('a folder has one owner', async () => {
  const log = await openEmbeddedEventLog({ folder, topics: [] });
  await expect(openEmbeddedEventLog({ folder, topics: [] })).rejects.toThrow(EventLogFolderError);
  await log.close();
  await openAndClose();
});
