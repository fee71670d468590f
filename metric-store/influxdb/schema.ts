import type { Logger } from 'pino';
import type { Resolution } from '../resolutions.ts';
import { formatDuration, parseDuration, quoteName } from './influxql.ts';
import type { QueryClient } from './query-client.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The retention policy that keeps the rows of one resolution. */
export function policyName(resolutionMs: number): string {
  return `sluice_${formatDuration(resolutionMs)}`;
}

/**
 * Creates the database and the retention policies that are missing and alters those whose durations differ. Safe
 * to run again, and by several processes at once.
 */
export async function createSchema(
  client: QueryClient,
  database: string,
  resolutions: readonly Resolution[],
  logger: Logger,
): Promise<void> {
  await client.query(`CREATE DATABASE ${quoteName(database)}`);
  const present = await readPolicies(client, database);
  for (const resolution of resolutions) {
    const name = policyName(resolution.resolutionMs);
    const wanted = durationsOf(resolution);
    const found = present.get(name);
    if (found?.durationMs === wanted.durationMs && found.shardMs === wanted.shardMs) continue;
    if (found !== undefined) logger.warn({ policy: name, found, wanted }, 'altering a retention policy');
    const verb = found === undefined ? 'CREATE' : 'ALTER';
    await client.query(
      `${verb} RETENTION POLICY ${quoteName(name)} ON ${quoteName(database)} ` +
        `DURATION ${wanted.durationMs === 0 ? 'INF' : formatDuration(wanted.durationMs)} ` +
        `REPLICATION 1 SHARD DURATION ${formatDuration(wanted.shardMs)}`,
    );
  }
}

interface Durations {
  /** 0 is for ever. */
  readonly durationMs: number;
  /** What InfluxDB deletes at once. */
  readonly shardMs: number;
}

/** InfluxDB keeps everything for at least an hour; shards are a small part of the whole, but not many. */
function durationsOf({ retentionMs }: Resolution): Durations {
  if (retentionMs === undefined) return { durationMs: 0, shardMs: 7 * DAY_MS };
  const durationMs = Math.max(retentionMs, HOUR_MS);
  if (durationMs < 2 * DAY_MS) return { durationMs, shardMs: HOUR_MS };
  return { durationMs, shardMs: durationMs <= 180 * DAY_MS ? DAY_MS : 7 * DAY_MS };
}

async function readPolicies(client: QueryClient, database: string): Promise<Map<string, Durations>> {
  const [series] = await client.query(`SHOW RETENTION POLICIES ON ${quoteName(database)}`);
  const policies = new Map<string, Durations>();
  for (const row of series?.values ?? []) {
    const cell = (column: string) => String(row[series?.columns.indexOf(column) ?? -1]);
    policies.set(cell('name'), {
      durationMs: parseDuration(cell('duration')),
      shardMs: parseDuration(cell('shardGroupDuration')),
    });
  }
  return policies;
}
