#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { settings, variableName } from './config/environment.ts';
import type { Config } from './config/schema.ts';
import { loadConfig } from './config.ts';
import { createDemoCommand } from './demo.ts';
import { createLogger } from './logging.ts';
import type { Role } from './pipeline.ts';
import { createDevicesCommand, createMetricsCommand, createQueryCommand } from './query/query-command.ts';
import { serve } from './serve.ts';
import { createSimulateCommand } from './simulator/simulate-command.ts';

const program = new Command('sluice')
  .description(
    'IoT telemetry pipeline: MQTT devices -> durable log -> exactly-once windowed aggregates -> queries',
  )
  .version(versionOf('../package.json', './package.json'))
  .option('--config <file>', 'configuration file (default: sluice.yaml where it exists)')
  .showHelpAfterError('(--help lists what can be given)');

function load(): Config {
  return loadConfig(program.opts<{ config?: string }>().config, process.env).config;
}

function addRoleCommand(name: string, roles: readonly Role[], description: string): void {
  program
    .command(name)
    .description(description)
    .action(async () => {
      const config = load();
      process.exitCode = await serve(config, roles, createLogger(config.logging, process.stderr.isTTY));
    });
}

addRoleCommand('start', ['gateway', 'processor', 'api'], 'run all roles in this process');
addRoleCommand('gateway', ['gateway'], 'accept devices over MQTT (needs eventLog.kind: kafka)');
addRoleCommand('processor', ['processor'], 'fold telemetry into aggregates (needs Kafka and InfluxDB)');
addRoleCommand('api', ['api'], 'answer queries over HTTP (needs metricStore.kind: influxdb)');

const write = (text: string) => void process.stdout.write(text);
const isTerminal = process.stdout.isTTY === true;
const defaultUrl = () => apiUrlOf(load());
program.addCommand(createDemoCommand({ load, write, isTerminal }));
program.addCommand(createQueryCommand({ defaultUrl, write, isTerminal }));
program.addCommand(createDevicesCommand({ defaultUrl, write, isTerminal }));
program.addCommand(createMetricsCommand({ defaultUrl, write, isTerminal }));
program.addCommand(
  createSimulateCommand({
    write,
    isTerminal,
    defaults: () => ({ mqttUrl: mqttUrlOf(load()), apiUrl: apiUrlOf(load()) }),
  }),
);
addConfigCommand();

/** A listening address as a client on this machine reaches it. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function apiUrlOf({ api }: Config): string {
  return `http://${reachable(api.host)}:${api.port}`;
}

function mqttUrlOf({ gateway }: Config): string {
  return `mqtt://${reachable(gateway.host)}:${gateway.port}`;
}

function addConfigCommand(): void {
  const command = program.command('config').description('look at the configuration');
  command
    .command('check')
    .description('validate the file and the SLUICE_… variables; exit code 1 when they cannot be used')
    .action(() => {
      const { sources } = loadConfig(program.opts<{ config?: string }>().config, process.env);
      write(`the configuration is valid (${sources.length === 0 ? 'defaults only' : sources.join(', ')})\n`);
    });
  command
    .command('show')
    .description('print the configuration in force, without secrets; durations in ms')
    .action(() => {
      const hideSecrets = (key: unknown, value: unknown) => (key === 'password' ? '(secret)' : value);
      write(stringify(load(), hideSecrets));
    });
  command
    .command('list')
    .description('list every setting with its variable and default')
    .action(() => {
      for (const { path, defaultValue, onlyFor, description } of settings()) {
        const only = onlyFor === undefined ? '' : ` [${onlyFor}]`;
        write(
          `${path.join('.')}${only}  ${variableName(path)}  default: ${defaultValue ?? 'none'}\n    ${description}\n`,
        );
      }
    });
}

function versionOf(...paths: readonly string[]): string {
  for (const path of paths) {
    try {
      return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version;
    } catch {}
  }
  return 'unknown';
}

try {
  await program.parseAsync();
} catch (error) {
  const { message, code } =
    error instanceof Error
      ? (error as Error & { code?: unknown })
      : { message: String(error), code: undefined };
  process.stderr.write(`sluice: ${message}${typeof code === 'string' ? ` [${code}]` : ''}\n`);
  process.exit(1);
}
