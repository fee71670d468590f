import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { diskBytesOf, requireSpace, sizeOf } from './storage.ts';

async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-storage-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('the size of a folder is that of all files below it', async () => {
  const folder = await createFolder();
  await mkdir(join(folder, 'a', 'b'), { recursive: true });
  const before = await sizeOf(folder);
  await writeFile(join(folder, 'a', 'b', 'file'), Buffer.alloc(2 ** 20, 1));
  expect((await sizeOf(folder)) - before).toBeGreaterThanOrEqual(2 ** 20);
});

test('a run that may need more space than there is is refused', async () => {
  const folder = await createFolder();
  await requireSpace(folder, 1);
  await expect(requireSpace(folder, diskBytesOf({ rate: 2_000, seconds: 1e9 }))).rejects.toThrow(
    /MiB left, and the run may store/,
  );
});
