import { EventLogFolderError, TopicMismatchError } from '../errors.ts';
import type { TopicSpec } from '../topics.ts';
import { FORMAT_KEY, topicKey } from './keys.ts';
import type { Store, StoreWrite } from './store.ts';

const FORMAT_VERSION = 1;

/**
 * Compares the folder with the configuration and records the topics that are new to it. Throws
 * `EventLogFolderError` for another format, `TopicMismatchError` for another number of partitions.
 */
export async function declareTopics(
  store: Store,
  folder: string,
  topics: readonly TopicSpec[],
): Promise<void> {
  const writes = [...declareFormat(store, folder)];
  for (const topic of topics) {
    const stored = store.get(topicKey(topic.name));
    if (stored === undefined) writes.push(declaration(topic));
    else checkPartitions(folder, topic, stored.readUInt16BE(0));
  }
  if (writes.length > 0) await store.write(writes, 'upkeep');
}

function declareFormat(store: Store, folder: string): StoreWrite[] {
  const stored = store.get(FORMAT_KEY);
  if (stored === undefined) {
    return [{ kind: 'put', key: FORMAT_KEY, value: Buffer.from([FORMAT_VERSION]) }];
  }
  if (stored[0] === FORMAT_VERSION) return [];
  throw new EventLogFolderError(
    `${folder} has the format ${stored[0]} and this version reads ${FORMAT_VERSION}; run the version that wrote it, or name an empty folder`,
  );
}

function declaration({ name, partitions }: TopicSpec): StoreWrite {
  const value = Buffer.allocUnsafe(2);
  value.writeUInt16BE(partitions);
  return { kind: 'put', key: topicKey(name), value };
}

function checkPartitions(folder: string, { name, partitions }: TopicSpec, stored: number): void {
  if (stored === partitions) return;
  throw new TopicMismatchError(
    `the topic ${name} has ${stored} partitions in ${folder} and ${partitions} in the configuration: ` +
      `configure ${stored}, or name an empty folder to begin again with ${partitions}`,
  );
}
