import { Command, Option } from 'commander';
import { z } from 'zod';
import { fetchJson } from './api-client.ts';
import {
  type CommandDependencies,
  EXIT_CODES_HELP,
  endWithNothing,
  failReadably,
} from './command-dependencies.ts';
import type { DevicePage, MetricListing } from './series-listing.ts';
import { formatTable } from './table.ts';

interface ListingOptions {
  readonly format: string;
  readonly url?: string;
}

const devicePage: z.ZodType<DevicePage> = z.object({
  devices: z.array(z.object({ deviceId: z.string(), metrics: z.array(z.string()) })),
  next: z.string().nullable(),
});

export const metricListing: z.ZodType<MetricListing> = z.object({
  metrics: z.array(z.object({ metric: z.string(), devices: z.number() })),
});

const PAGE_DEVICES = '10000';
const NOTHING_STORED = 'nothing found: nothing has been stored yet';

/** `sluice devices`: lists every device and its metrics. */
export function createDevicesCommand(dependencies: CommandDependencies): Command {
  return createListingCommand('devices', 'list the devices and their metrics', dependencies, async (url) => {
    const devices: DevicePage['devices'][number][] = [];
    let after: string | undefined;
    do {
      const page = await fetchJson(url, '/api/v1/devices', { limit: PAGE_DEVICES, after }, devicePage);
      devices.push(...page.devices);
      after = page.next ?? undefined;
    } while (after !== undefined);
    return {
      json: { devices },
      headings: ['DEVICE', 'METRICS'],
      rows: devices.map(({ deviceId, metrics }) => [deviceId, metrics.join(', ')]),
    };
  });
}

/** `sluice metrics`: lists every metric and how many devices have it. */
export function createMetricsCommand(dependencies: CommandDependencies): Command {
  return createListingCommand('metrics', 'list the metrics', dependencies, async (url) => {
    const { metrics } = await fetchJson(url, '/api/v1/metrics', {}, metricListing);
    return {
      json: { metrics },
      headings: ['METRIC', 'DEVICES'],
      rows: metrics.map(({ metric, devices }) => [metric, String(devices)]),
    };
  });
}

interface Listing {
  readonly json: unknown;
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function createListingCommand(
  name: string,
  description: string,
  dependencies: CommandDependencies,
  list: (url: string) => Promise<Listing>,
): Command {
  const command = new Command(name)
    .description(description)
    .addOption(new Option('--format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--url <url>', 'address of the query API (default: as configured)')
    .addHelpText('after', EXIT_CODES_HELP);
  return command.action((options: ListingOptions) =>
    failReadably(command, async () => {
      const { json, headings, rows } = await list(options.url ?? (await dependencies.defaultUrl()));
      if (rows.length === 0) endWithNothing(command, NOTHING_STORED);
      const columns = headings.map((heading) => ({ heading, align: 'left' as const }));
      dependencies.write(
        options.format === 'json' ? `${JSON.stringify(json)}\n` : formatTable(columns, rows, dependencies),
      );
    }),
  );
}
