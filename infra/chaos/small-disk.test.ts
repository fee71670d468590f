import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SmallDisk } from './small-disk.ts';

test('a small disk takes nothing more while it is full; where there can be none the reason is told', async ({
  skip,
}) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const lines: string[] = [];
  const disk = await SmallDisk.mount(join(folder, 'data'), 64 * 2 ** 20, (line) => lines.push(line));
  if (disk === undefined) {
    expect(lines.join()).toMatch(/^fill-disk does nothing here, no small disk can be mounted: ./);
    return skip(lines.join());
  }
  try {
    const file = join(folder, 'data', 'file');
    await disk.fill();
    expect((await statfs(join(folder, 'data'))).bavail).toBe(0);
    await expect(writeFile(file, 'x')).rejects.toMatchObject({ code: 'ENOSPC' });
    await disk.free();
    await writeFile(file, 'x');
  } finally {
    await disk.unmount();
  }
});
