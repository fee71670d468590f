import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The absolute path of an installed program, `undefined` when there is none. */
export function findProgram(name: string): string | undefined {
  // Debian keeps servers in sbin, which is not on the PATH of a plain user.
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')];
  if (folders.includes('/usr/bin')) folders.push('/usr/sbin', '/usr/local/sbin');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** The major version of the Java at `program`, `undefined` when it does not say. */
export async function javaVersion(program: string): Promise<number | undefined> {
  const { stderr } = await run(program, ['-version'], { timeout: 20_000 });
  const { major } = /version "(?<major>\d+)/.exec(stderr)?.groups ?? {};
  return major === undefined ? undefined : Number(major);
}

/** The folder of the checkout (or installed package) that this file belongs to, compiled or not. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    if (dirname(folder) === folder)
      throw new Error(`no package.json above ${fileURLToPath(import.meta.url)}`);
    folder = dirname(folder);
  }
  return folder;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
