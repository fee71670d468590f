import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { readSeeds } from './seeds.ts';

async function fileWith(content: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-seeds-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'seeds.json');
  await writeFile(file, JSON.stringify(content));
  return file;
}

test('the seeds that are kept can be read', () => {
  const file = fileURLToPath(new URL('failing-seeds.json', import.meta.url));
  expect(readSeeds(file)).toBeInstanceOf(Array);
});

test('a kept seed has a default rate and number of devices', async () => {
  const kept = { engine: 'embedded', seed: 3, seconds: 60, found: 'two messages missing' };
  expect(readSeeds(await fileWith([kept]))).toEqual([{ ...kept, rate: 2_000, devices: 200 }]);
});

test.each([
  ['an unknown engine', { engine: 'paper', seed: 3, seconds: 60, found: 'x' }, /engine/],
  ['no finding', { engine: 'embedded', seed: 3, seconds: 60 }, /found/],
  ['an unknown key', { engine: 'embedded', seed: 3, seconds: 60, found: 'x', colour: 'red' }, /colour/],
])('%s is refused by name', async (_, entry, message) => {
  const file = await fileWith([entry]);
  expect(() => readSeeds(file)).toThrow(message);
});

test('a file without seeds is refused: running none of them would pass', async () => {
  const file = await fileWith([]);
  expect(() => readSeeds(file)).toThrow(/array/);
});
