import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Services } from './figures.ts';

const PROGRAM = fileURLToPath(new URL('../local/services.js', import.meta.url));
const START_DEADLINE_MS = 180_000;

/** Starts a Kafka and an InfluxDB of its own in a folder; undefined, with a line that says why, when they cannot be had. */
export function startServices(folder: string, say: (line: string) => void): Services | undefined {
  const started = spawnSync(
    process.execPath,
    [PROGRAM, 'start', 'kafka', 'influxdb', '--folder', folder, '--json'],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: START_DEADLINE_MS,
    },
  );
  if (started.status !== 0) {
    say('Kafka and InfluxDB cannot be started here: only the embedded engine is measured');
    return undefined;
  }
  const { kafka, influxdb } = JSON.parse(started.stdout);
  return { kafka: kafka.brokers, influxdb: influxdb.url };
}

export function stopServices(folder: string): void {
  spawnSync(process.execPath, [PROGRAM, 'stop', 'kafka', 'influxdb', '--folder', folder], {
    stdio: 'ignore',
  });
}
