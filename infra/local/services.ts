// Runs the servers that Sluice can use, without Docker: see USAGE in command-line.ts.
import { join } from 'node:path';
import { type CommandLine, parseCommandLine, USAGE } from './command-line.ts';
import { installDebianPackages } from './debian-packages.ts';
import { influxdb } from './influxdb.ts';
import { inspectInstance, startInstance, stopInstance } from './instance.ts';
import { kafka } from './kafka.ts';
import { type LocalServer, MissingToolError, type ServerName } from './local-server.ts';
import { mosquitto } from './mosquitto.ts';

const SERVERS: Record<ServerName, LocalServer> = { kafka, influxdb, mosquitto };

/** What one server came to: the columns of the table, the members of the JSON object. */
type Row = Readonly<Record<string, string | number>>;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

function report(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function perform(line: CommandLine, server: LocalServer): Promise<Row> {
  const folder = join(line.folder, server.name);
  switch (line.verb) {
    case 'start':
      return startInstance(server, folder, { report, installLimitMs: line.installLimitMs });
    case 'stop':
      if (!(await stopInstance(server, folder, line.kill))) return { state: 'was not running' };
      return { state: line.kill ? 'killed' : 'stopped' };
    case 'status':
      return inspectInstance(server, folder);
    case 'install':
      await server.install(report, line.installLimitMs);
      await server.requireTools();
      return { state: 'installed' };
  }
}

async function installPackages(servers: readonly LocalServer[]): Promise<void> {
  const missing: LocalServer[] = [];
  for (const server of servers) {
    try {
      await server.requireTools();
    } catch (error) {
      if (!(error instanceof MissingToolError)) throw error;
      missing.push(server);
    }
  }
  const packages = missing.flatMap((server) => server.debianPackages);
  if (packages.length > 0) installDebianPackages(packages, report);
}

function printTable(rows: ReadonlyMap<ServerName, Row>): void {
  const lines = [...rows].map(([name, row]) => {
    const { state = 'running', pid, ...address } = row;
    const pidText = pid === undefined ? '' : `pid ${pid}`;
    return [name.padEnd(10), String(state).padEnd(15), pidText.padEnd(12), ...Object.values(address)].join(
      ' ',
    );
  });
  process.stdout.write(`${lines.map((text) => text.trimEnd()).join('\n')}\n`);
}

function printUse(rows: ReadonlyMap<ServerName, Row>): void {
  const brokers = rows.get('kafka')?.brokers;
  const url = rows.get('influxdb')?.url;
  const keys = [
    ...(brokers === undefined ? [] : [`eventLog: {kind: kafka, brokers: ["${brokers}"]}`]),
    ...(url === undefined ? [] : [`metricStore: {kind: influxdb, url: "${url}"}`]),
  ];
  if (keys.length > 0) process.stdout.write(`\nIn sluice.yaml:  ${keys.join('   ')}\n`);
}

async function main(): Promise<void> {
  let line: CommandLine;
  try {
    line = parseCommandLine(process.argv.slice(2));
  } catch (error) {
    report(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const servers = line.names.map((name) => SERVERS[name]);
  if (line.verb === 'install') await installPackages(servers);
  const outcomes = await Promise.allSettled(servers.map((server) => perform(line, server)));
  const rows = new Map<ServerName, Row>();
  for (const [index, outcome] of outcomes.entries()) {
    const server = servers[index];
    if (server === undefined) continue;
    if (outcome.status === 'fulfilled') rows.set(server.name, outcome.value);
    else {
      report(outcome.reason instanceof Error ? outcome.reason.message : String(outcome.reason));
      process.exitCode = EXIT_FAILED;
    }
  }
  if (line.json) process.stdout.write(`${JSON.stringify(Object.fromEntries(rows))}\n`);
  else {
    printTable(rows);
    if (line.verb === 'start') printUse(rows);
  }
}

await main().catch((error: unknown) => {
  report(error instanceof Error ? error.message : String(error));
  process.exitCode = EXIT_FAILED;
});
