import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { EventLog } from '../event-log.ts';
import { openEmbeddedEventLog } from './embedded-event-log.ts';

const BUILT = new URL('../../dist/event-log/embedded/embedded-event-log.js', import.meta.url).href;
const PARTITIONS = 4;
const TOPIC = { name: 'topic', partitions: PARTITIONS, retentionMs: 3_600_000, maxRecordBytes: 10_000 };

let folder: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-durability-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await rm(folder, { recursive: true, force: true });
});

const open = () => openEmbeddedEventLog({ folder, topics: [TOPIC] });

/** A process of its own that runs a script in which `log` is the event log of the folder. */
function start(script: string, wrapper: readonly string[] = []): { child: ChildProcess; lines: string[] } {
  const source = `
    import { writeSync } from 'node:fs';
    import { openEmbeddedEventLog } from ${JSON.stringify(BUILT)};
    const print = (line) => writeSync(1, line + '\\n');
    const log = await openEmbeddedEventLog(${JSON.stringify({ folder, topics: [TOPIC] })});
    ${script}`;
  const [command = process.execPath, ...rest] = [...wrapper, process.execPath];
  const child = spawn(command, [...rest, '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => void lines.push(line));
  return { child, lines };
}

/** Appends without a pause and prints partition, offset and number of each acknowledged record. */
const LOAD = `
  let sent = 0;
  await Promise.all(Array.from({ length: 40 }, async (_, caller) => {
    const partition = caller % ${PARTITIONS};
    for (;;) {
      const i = sent++;
      const value = Buffer.from(i + ':' + 'x'.repeat(i % 500));
      print(partition + ' ' + await log.append('topic', partition, 'device-' + i, value) + ' ' + i);
    }
  }));`;

async function readAll(log: EventLog): Promise<Map<string, string>> {
  const records = new Map<string, string>();
  const ends = new Map<number, bigint>();
  const consumer = await log.consume({
    topic: 'topic',
    group: `group-${performance.now()}`,
    onAssigned: () => undefined,
    onRevoked: () => undefined,
    onBatch: async ({ partition, records: batch, endOffset }) => {
      for (const { offset, key, value } of batch) records.set(`${partition} ${offset}`, `${key} ${value}`);
      const next = (batch.at(-1)?.offset ?? -1n) + 1n;
      if (next === endOffset) ends.set(partition, next);
      return undefined;
    },
    onError: (error) => {
      throw error;
    },
  });
  await vi.waitFor(() => expect(ends.size).toBe(PARTITIONS), { timeout: 30_000, interval: 20 });
  await consumer.close();
  return records;
}

describe('SIGKILL', () => {
  test('every acknowledged record is there after the process was killed under load, again and again', async () => {
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const { child, lines } = start(LOAD);
      await vi.waitFor(() => expect(lines.length).toBeGreaterThan(2_000), { timeout: 30_000, interval: 5 });
      child.kill('SIGKILL');
      await once(child, 'close');
      acknowledged.push(
        ...lines.filter((line) => /^\d+ \d+ \d+$/.test(line)).map((line) => `${round} ${line}`),
      );

      const log = await open();
      const records = await readAll(log);
      await log.close();
      const missing = acknowledged.filter((line) => {
        const [, partition, offset, i] = line.split(' ');
        const value = `${i}:${'x'.repeat(Number(i) % 500)}`;
        return records.get(`${partition} ${offset}`) !== `device-${i} ${value}`;
      });
      expect(missing).toEqual([]);
    }
    const places = acknowledged.map((line) => line.split(' ').slice(1, 3).join(' '));
    expect(new Set(places).size).toBe(places.length);
  });

  test('the two newest checkpoints of each partition are there, whole, after the process was killed while saving', async () => {
    for (let round = 0; round < 3; round++) {
      const { child, lines } = start(`
        await Promise.all([0, 1].map(async (partition) => {
          for (let i = 0; ; i++) {
            await log.saveCheckpoint('group', partition, Buffer.alloc(500_000 + i, (${round} * 50 + i) % 256));
            print(partition + ' ' + i);
          }
        }));`);
      await vi.waitFor(() => expect(lines.length).toBeGreaterThan(30), { timeout: 30_000, interval: 2 });
      child.kill('SIGKILL');
      await once(child, 'close');
      const log = await open();
      for (const partition of [0, 1]) {
        const saved = lines.filter((line) => line.startsWith(`${partition} `)).length;
        const kept = await log.loadCheckpoints('group', partition);
        const numbers = kept.map(({ length }) => length - 500_000);
        // The one that was being saved may be there, not told of.
        expect([saved - 1, saved]).toContain(numbers[0]);
        expect(numbers).toEqual([numbers[0], (numbers[0] ?? 0) - 1]);
        for (const [i, bytes] of kept.entries()) {
          expect(bytes.equals(Buffer.alloc(bytes.length, (round * 50 + (numbers[i] ?? 0)) % 256))).toBe(true);
        }
      }
      await log.close();
    }
  });

  test('a folder belongs to its process until that is killed', async () => {
    const { child, lines } = start(`print('open'); setInterval(() => undefined, 1_000);`);
    await vi.waitFor(() => expect(lines).toEqual(['open']), { timeout: 30_000, interval: 20 });
    await expect(open()).rejects.toThrow(`${folder} belongs to the running process ${child.pid}`);
    child.kill('SIGSTOP');
    await expect(open()).rejects.toThrow(`${folder} belongs to the running process ${child.pid}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const log = await open();
    await log.close();
  });
});

const HELD_MS = 700;
const canTrace = (() => {
  try {
    execFileSync('strace', ['-f', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!canTrace)('held-up disk (needs strace)', () => {
  const trace = () => join(folder, 'trace');
  // strace counts the calls of each thread, so there is one that writes.
  const faulty = (call: string, fault: string) => [
    ...['strace', '-f', '-E', 'UV_THREADPOOL_SIZE=1', '-o', trace()],
    ...['-e', `trace=${call}`, '-e', `inject=${call}:${fault}`],
  ];

  test('an acknowledgement and a delivery come only after the sync', async () => {
    const { child, lines } = start(
      `
      const started = performance.now();
      const after = () => Math.round(performance.now() - started);
      let delivered;
      const delivery = new Promise((resolve) => { delivered = resolve; });
      await log.consume({
        topic: 'topic', group: 'group', onAssigned() {}, onRevoked() {}, onError: (error) => { throw error; },
        async onBatch() { print('delivered ' + after()); delivered(); },
      });
      await log.append('topic', 0, 'device', Buffer.from('value'));
      print('acknowledged ' + after());
      await delivery;
      await log.close();`,
      faulty('fdatasync', `delay_enter=${HELD_MS * 1_000}`),
    );
    await once(child, 'close');
    expect(lines.map((line) => line.split(' ')[0]).toSorted()).toEqual(['acknowledged', 'delivered']);
    for (const line of lines) expect(Number(line.split(' ')[1])).toBeGreaterThanOrEqual(HELD_MS);
  });

  test('a sync that fails is not acknowledged; the append is retried until it holds', async () => {
    const { child, lines } = start(
      `
      await log.append('topic', 0, 'device', Buffer.from('first'));
      const offsets = await Promise.all([1, 2, 3].map((i) => log.append('topic', 0, 'device', Buffer.from('v' + i))));
      print(offsets.join(' '));
      await log.close();`,
      faulty('fdatasync', 'error=EIO:when=2..4'),
    );
    await once(child, 'close');
    expect(lines).toEqual(['1 2 3']);
    expect((await readFile(trace(), 'utf8')).match(/EIO .*INJECTED/g)?.length).toBe(3);
  });

  // A short write, which is how a disk fails first; with an error LMDB's binding may overrun a buffer.
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'write number %i of a process may fail, and the log recovers in the same process',
    async (failing) => {
      await (await open()).close();
      const { child, lines } = start(
        `
        for (let i = 0; i < 6; i++) print(i + ' ' + await log.append('topic', 0, 'device-' + i, Buffer.from('v')));
        await log.close();`,
        faulty('pwrite64', `retval=0:when=${failing}`),
      );
      await once(child, 'close');
      expect(lines).toEqual(['0 0', '1 1', '2 2', '3 3', '4 4', '5 5']);
      expect(await readFile(trace(), 'utf8')).toMatch(/INJECTED/);
      const log = await open();
      expect(await log.append('topic', 0, 'device', Buffer.from('v'))).toBe(6n);
      await log.close();
    },
  );
});
