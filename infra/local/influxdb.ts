import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LocalServer, MissingToolError } from './local-server.ts';
import { findProgram } from './tools.ts';

/** InfluxDB 1.x from the distribution's package, without authentication, reachable from this machine only. */
export const influxdb: LocalServer = {
  name: 'influxdb',
  portCount: 2,
  startDeadlineMs: 30_000,
  debianPackages: ['influxdb'],
  address: (port) => ({ url: `http://127.0.0.1:${port}` }),
  answers: answersPing,
  install: async () => {},

  async requireTools() {
    requireInfluxd();
  },

  async prepare(folder, [port, backupPort]) {
    const config = join(folder, 'influxdb.conf');
    writeFileSync(config, influxConfig(folder, Number(port), Number(backupPort)));
    return { program: requireInfluxd(), args: ['run', '-config', config] };
  },
};

function requireInfluxd(): string {
  const influxd = findProgram('influxd');
  if (influxd === undefined)
    throw new MissingToolError('influxdb: influxd not found: apt-get install influxdb');
  return influxd;
}

function influxConfig(folder: string, port: number, backupPort: number): string {
  return `reporting-disabled = true
bind-address = "127.0.0.1:${backupPort}"

[meta]
  dir = "${join(folder, 'meta')}"

[data]
  dir = "${join(folder, 'data')}"
  wal-dir = "${join(folder, 'wal')}"
  # The index that production is advised to use: one series per device and metric makes the in-memory index grow without
  # bound, and it is rebuilt at every start.
  index-version = "tsi1"
  query-log-enabled = false

[http]
  bind-address = "127.0.0.1:${port}"
  auth-enabled = false
  log-enabled = false

[logging]
  level = "warn"

[monitor]
  store-enabled = false

[subscriber]
  enabled = false

[continuous_queries]
  enabled = false
`;
}

async function answersPing(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/ping`, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.status === 204;
  } catch {
    return false;
  }
}
