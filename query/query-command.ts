import { Command, Option } from 'commander';
import { z } from 'zod';
import { fetchJson } from './api-client.ts';
import {
  type CommandDependencies,
  EXIT_CODES_HELP,
  endWithNothing,
  failReadably,
} from './command-dependencies.ts';
import { toCsv } from './csv.ts';
import { formatDuration } from './duration.ts';
import type { QueryResult } from './query.ts';
import { metricListing } from './series-commands.ts';
import { type Column, formatFigure, formatInstant, formatTable, printable } from './table.ts';

export { createDevicesCommand, createMetricsCommand } from './series-commands.ts';

interface QueryOptions {
  readonly device?: readonly string[];
  readonly agg?: string;
  readonly every?: string;
  readonly last?: string;
  readonly from?: string;
  readonly to?: string;
  readonly groupBy?: string;
  readonly resolution?: string;
  readonly format: string;
  readonly url?: string;
}

/** Metrics listed when nothing was found. */
const MAX_LISTED_METRICS = 10;

const queryResult: z.ZodType<QueryResult> = z.object({
  metric: z.string(),
  resolutionMs: z.number(),
  resolutions: z.array(z.object({ resolutionMs: z.number(), from: z.number(), to: z.number() })),
  from: z.number(),
  to: z.number(),
  completeFrom: z.number(),
  everyMs: z.number().nullable(),
  groupBy: z.enum(['device', 'none']),
  aggs: z.array(z.string()),
  series: z.array(
    z.object({
      deviceId: z.string().nullable(),
      buckets: z.array(z.object({ start: z.number() }).catchall(z.number())),
    }),
  ),
});

/** `sluice query`: asks the query API and prints what it finds. */
export function createQueryCommand(dependencies: CommandDependencies): Command {
  const command = new Command('query')
    .description('print aggregates of a metric over a range of time')
    .argument('<metric>', 'the metric to query')
    .option('--device <id...>', 'devices to query (default: all)')
    .option('--agg <list>', 'figures to print, such as mean,p95 (default: count,mean,min,max)')
    .option('--every <duration>', 'size of a bucket, such as 1m (default: the whole range is one bucket)')
    .option('--last <duration>', 'a range that ends now, such as 1h (default: 1h)')
    .option('--from <time>', 'start of the range: ISO 8601 with its zone, or ms since the epoch')
    .option('--to <time>', 'end of the range (default: now)')
    .addOption(
      new Option('--group-by <what>', 'a series per device, or all devices merged').choices([
        'device',
        'none',
      ]),
    )
    .option(
      '--resolution <size>',
      'stored windows to answer from, such as 10s, or finest (default: finest up to a day, then larger)',
    )
    .addOption(
      new Option('--format <format>', 'how to print').choices(['table', 'json', 'csv']).default('table'),
    )
    .option('--url <url>', 'address of the query API (default: as configured)')
    .addHelpText('after', EXIT_CODES_HELP);
  return command.action((metric: string, options: QueryOptions) =>
    failReadably(command, async () => {
      const url = options.url ?? (await dependencies.defaultUrl());
      const result = await ask(url, metric, options);
      if (result.series.length === 0) endWithNothing(command, await describeNothing(url, result));
      dependencies.write(print(result, options.format, dependencies));
    }),
  );
}

function ask(url: string, metric: string, options: QueryOptions): Promise<QueryResult> {
  const { device, agg, every, last, from, to, groupBy, resolution } = options;
  const parameters = { metric, device, agg, every, last, from, to, groupBy, resolution };
  return fetchJson(url, '/api/v1/query', parameters, queryResult);
}

function print(result: QueryResult, format: string, dependencies: CommandDependencies): string {
  if (format === 'json') return `${JSON.stringify(result, null, dependencies.isTerminal ? 2 : undefined)}\n`;
  if (format === 'csv') return toCsv(result);
  return toTable(result, dependencies);
}

function toTable(result: QueryResult, dependencies: CommandDependencies): string {
  const perDevice = result.groupBy === 'device';
  const device: Column = { heading: 'DEVICE', align: 'left' };
  const columns: Column[] = [
    ...(perDevice ? [device] : []),
    { heading: 'START (UTC)', align: 'left' },
    ...result.aggs.map((agg): Column => ({ heading: agg.toUpperCase(), align: 'right' })),
  ];
  const rows = result.series.flatMap(({ deviceId, buckets }) =>
    buckets.map((bucket) => [
      ...(perDevice ? [deviceId ?? ''] : []),
      formatInstant(bucket.start),
      ...result.aggs.map((agg) => formatFigure(bucket[agg] ?? Number.NaN)),
    ]),
  );
  return `${titleOf(result)}\n\n${formatTable(columns, rows, dependencies)}`;
}

function titleOf({ metric, from, to, completeFrom, everyMs, resolutions }: QueryResult): string {
  const buckets = everyMs === null ? 'one bucket' : `every ${formatDuration(everyMs)}`;
  const range = `${formatInstant(from)} to ${formatInstant(to)}`;
  const windows = `from windows of ${sizesOf(resolutions)}`;
  const complete =
    completeFrom > from ? `, complete from ${formatInstant(completeFrom)} (older ones are not kept)` : '';
  return `${printable(metric)}, ${range}, ${buckets}, ${windows}${complete}`;
}

/** Each size once, the largest first: `1h, 1m and 10s`. */
function sizesOf(resolutions: QueryResult['resolutions']): string {
  const sizes = [...new Set(resolutions.map(({ resolutionMs }) => resolutionMs))].sort((a, b) => b - a);
  const texts = sizes.map(formatDuration);
  const last = texts.pop() ?? '';
  return texts.length === 0 ? last : `${texts.join(', ')} and ${last}`;
}

async function describeNothing(
  url: string,
  { metric, from, to, completeFrom }: QueryResult,
): Promise<string> {
  const { metrics } = await fetchJson(url, '/api/v1/metrics', {}, metricListing);
  const range = `from ${formatInstant(from)} to ${formatInstant(to)}`;
  const nothing = `nothing found: no aggregates of ${printable(metric)} ${range}`;
  if (completeFrom === to) return `${nothing}: windows of that time are not kept any more`;
  if (metrics.length === 0) return `${nothing}; nothing has been stored yet`;
  const listed = metrics.slice(0, MAX_LISTED_METRICS).map((known) => printable(known.metric));
  const more = metrics.length - listed.length;
  return `${nothing}\nmetrics that exist: ${listed.join(', ')}${more > 0 ? ` and ${more} more (\`sluice metrics\`)` : ''}`;
}
