// Copies the files that the compiler does not emit (recorded input for the demo) beside the compiled code.
import { cpSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
for (const folder of ['simulator/recordings']) {
  if (existsSync(root + folder)) cpSync(root + folder, `${root}dist/${folder}`, { recursive: true });
}
