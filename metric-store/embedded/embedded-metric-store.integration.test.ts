import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openEmbeddedMetricStore } from './embedded-metric-store.ts';

const RESOLUTION_MS = 1_000;
const logger = pino({ level: 'silent' });

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-metric-store-'));
});

afterEach(() => rm(folder, { recursive: true }));

/** Writes batches, several at once, from the given number on; prints the number of each that was acknowledged. */
const WRITER = `
  import { writeSync } from 'node:fs';
  import { pino } from ${JSON.stringify(import.meta.resolve('pino'))};
  const dist = ${JSON.stringify(pathToFileURL(resolve('dist/metric-store')).href)};
  const { openEmbeddedMetricStore } = await import(dist + '/embedded/embedded-metric-store.js');
  const { createAggregate } = await import(dist + '/aggregate.js');
  const store = await openEmbeddedMetricStore({
    folder: process.env.FOLDER,
    resolutions: [{ resolutionMs: ${RESOLUTION_MS} }],
    logger: pino({ level: 'silent' }),
  });
  let next = Number(process.env.FROM);
  async function writeOn() {
    for (;;) {
      const batch = next++;
      const rows = Array.from({ length: 200 }, (_, i) => ({
        deviceId: 'd' + (batch % 7) + '-' + i,
        metric: 'm',
        resolutionMs: ${RESOLUTION_MS},
        windowStart: batch * ${RESOLUTION_MS},
        pane: 0,
        aggregate: createAggregate(batch + i / 1000, batch),
      }));
      await store.write(rows);
      writeSync(1, batch + '\\n');
    }
  }
  await Promise.all([writeOn(), writeOn(), writeOn()]);
`;

/** Lets the writer run until it acknowledged `count` batches, then kills it; returns all that it acknowledged. */
async function writeUntilKilled(from: number, count: number): Promise<number[]> {
  const writer = spawn(process.execPath, ['--input-type=module', '-e', WRITER], {
    env: { ...process.env, FOLDER: folder, FROM: `${from}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(writer, 'exit');
  const acknowledged: number[] = [];
  for await (const line of createInterface(writer.stdout)) {
    acknowledged.push(Number(line));
    if (acknowledged.length === count) writer.kill('SIGKILL');
  }
  await exited;
  return acknowledged;
}

test('every row that was acknowledged before SIGKILL is there afterwards, whole and once', async () => {
  const acknowledged: number[] = [];
  for (const [round, count] of [1, 40, 150, 7].entries()) {
    const written = await writeUntilKilled(round * 100_000, count);
    expect(written.length).toBeGreaterThanOrEqual(count);
    acknowledged.push(...written);
    const store = await openEmbeddedMetricStore({
      folder,
      resolutions: [{ resolutionMs: RESOLUTION_MS }],
      logger,
    });
    const found = new Map<number, Map<string, number>>();
    let rows = 0;
    const all = { metric: 'm', resolutionMs: RESOLUTION_MS, from: 0, to: 1e12, distributions: true };
    for await (const chunk of store.read(all)) {
      for (const { windowStart, deviceId, aggregate } of chunk) {
        const batch = windowStart / RESOLUTION_MS;
        found.set(batch, (found.get(batch) ?? new Map()).set(deviceId, aggregate.sum));
        rows++;
      }
    }
    expect(rows).toBe([...found.values()].reduce((sum, { size }) => sum + size, 0));
    for (const batch of acknowledged) {
      expect(found.get(batch)?.size).toBe(200);
      expect(found.get(batch)?.get(`d${batch % 7}-199`)).toBe(batch + 0.199);
    }
    const series = await store.series();
    expect(new Set(series.map(({ deviceId }) => deviceId)).size).toBe(series.length);
    await store.close();
  }
});
