import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { MissingToolError } from './local-server.ts';
import { findProgram } from './tools.ts';

const POLICY_FILE = '/usr/sbin/policy-rc.d';

/** Installs packages from the distribution. Needs Debian (or a child of it) and root; refuses with the command otherwise. */
export function installDebianPackages(packages: readonly string[], report: (line: string) => void): void {
  const command = `apt-get install ${packages.join(' ')}`;
  if (findProgram('apt-get') === undefined) {
    throw new MissingToolError(`apt-get not found; on Debian this would be: ${command}`);
  }
  if (process.getuid?.() !== 0) throw new MissingToolError(`not root; run: sudo ${command}`);
  report(command);
  withoutStartingServices(() => {
    aptGet(['update']);
    aptGet(['install', '--yes', '--no-install-recommends', ...packages]);
  });
}

/** Debian starts a server when its package is installed, unless this policy forbids it. */
function withoutStartingServices(install: () => void): void {
  const mine = !existsSync(POLICY_FILE);
  if (mine) writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    if (mine) rmSync(POLICY_FILE, { force: true });
  }
}

function aptGet(args: readonly string[]): void {
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=3'];
  const { status } = spawnSync('apt-get', [...options, ...args], {
    // The output of this command may be one JSON object: apt's goes to stderr.
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 600_000,
  });
  if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed with status ${status}`);
}
