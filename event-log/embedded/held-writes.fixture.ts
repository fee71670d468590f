import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const LMDB = createRequire(import.meta.url).resolve('lmdb');

/** A process that holds LMDB's own lock on writes, so that every transaction of a folder's log waits for it to end. */
export class HeldWrites {
  #holder: ChildProcess | undefined;

  async hold(folder: string): Promise<void> {
    const script = `
      const { open } = require(${JSON.stringify(LMDB)});
      const db = open({ path: ${JSON.stringify(folder)}, noSubdir: false, overlappingSync: false });
      db.transactionSync(() => {
        require('node:fs').writeSync(1, 'held');
        require('node:fs').readSync(0, Buffer.alloc(1));
      });`;
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    this.#holder = holder;
  }

  async release(): Promise<void> {
    const holder = this.#holder;
    this.#holder = undefined;
    if (holder === undefined) return;
    holder.stdin?.end();
    if (holder.exitCode === null) await once(holder, 'exit');
  }
}
