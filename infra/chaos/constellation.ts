import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chooseFreePorts } from '../local/free-port.ts';
import { influxdb } from '../local/influxdb.ts';
import { kafka } from '../local/kafka.ts';
import { ALL_IN_ONE, type Engine, GATEWAYS, GUEST_PROCESSOR, PROCESSORS } from './fault.ts';
import { advertising, OwnServer } from './own-server.ts';
import { RoleProcess } from './role-process.ts';
import { SmallDisk } from './small-disk.ts';
import { TcpProxy } from './tcp-proxy.ts';
import type { Victim } from './victim.ts';

export const CLI = fileURLToPath(new URL('../../cli.js', import.meta.url));

export interface ConstellationOptions {
  readonly engine: Engine;
  readonly folder: string;
  /** Size of the disk that embedded engines get. */
  readonly diskBytes: number;
  /** `SLUICE_…` variables for every process, on top of which come those that make them one pipeline. */
  readonly settings: Readonly<Record<string, string>>;
  readonly say: (line: string) => void;
  /** Called when a role ends by itself. */
  readonly onCrash: (name: string, how: string) => void;
}

/** A pipeline of processes whose connections pass through proxies. */
export interface Constellation {
  /** Where devices and people reach it. */
  readonly mqttUrl: string;
  readonly apiUrl: string;
  /** What `sluice` commands need to know of it. */
  readonly environment: Readonly<Record<string, string>>;
  readonly roles: readonly RoleProcess[];
  /** Roles, Kafka and InfluxDB by name. */
  readonly victims: ReadonlyMap<string, Victim>;
  /** Proxies by the name of their link. */
  readonly links: ReadonlyMap<string, TcpProxy>;
  /** Where the embedded engines keep everything; undefined where no disk could be made. */
  readonly disk?: SmallDisk | undefined;
  /** Starts everything and resolves when all of it is ready. */
  start(signal: AbortSignal): Promise<void>;
  /** Ends every role with SIGTERM, and returns those that did not end with exit code 0. */
  stopRoles(): Promise<string[]>;
  /** Ends everything at once, whatever state it is in. */
  end(): Promise<void>;
}

export function openConstellation(options: ConstellationOptions): Promise<Constellation> {
  mkdirSync(join(options.folder, 'logs'), { recursive: true });
  return options.engine === 'embedded' ? openEmbedded(options) : openScaledOut(options);
}

async function openEmbedded(options: ConstellationOptions): Promise<Constellation> {
  const [mqttPort = 0, apiPort = 0] = await chooseFreePorts(2);
  const devices = await TcpProxy.open([mqttPort]);
  const dataFolder = join(options.folder, 'data');
  const disk = await SmallDisk.mount(dataFolder, options.diskBytes, options.say);
  const environment = environmentOf(options, {
    SLUICE_DATA_FOLDER: join(dataFolder, 'sluice'),
    SLUICE_GATEWAY_PORT: `${mqttPort}`,
    SLUICE_API_PORT: `${apiPort}`,
  });
  const role = createRole(options, environment, { name: ALL_IN_ONE, command: 'start', httpPort: apiPort });
  return assemble({
    environment,
    apiPort,
    roles: [role],
    servers: [],
    disk,
    links: new Map([['device-link', devices]]),
    async start(signal) {
      await role.start(signal);
    },
  });
}

async function openScaledOut(options: ConstellationOptions): Promise<Constellation> {
  const { folder } = options;
  const links = await openLinks();
  const servers = {
    kafka: new OwnServer(advertising(kafka, links.kafka.port), join(folder, 'servers', 'kafka')),
    influxdb: new OwnServer(influxdb, join(folder, 'servers', 'influxdb')),
  };
  const [apiPort = 0, ...ports] = await chooseFreePorts(1 + 2 * GATEWAYS.length + PROCESSORS.length + 1);
  const takePort = () => ports.pop() ?? 0;
  const environment = environmentOf(options, {
    SLUICE_EVENT_LOG_KIND: 'kafka',
    SLUICE_EVENT_LOG_BROKERS: `127.0.0.1:${links.kafka.port}`,
    SLUICE_METRIC_STORE_KIND: 'influxdb',
    SLUICE_METRIC_STORE_URL: `http://127.0.0.1:${links.influxdb.port}`,
    SLUICE_API_PORT: `${apiPort}`,
  });
  const gatewayPorts = GATEWAYS.map(takePort);
  links.devices.aim(gatewayPorts);
  const api = createRole(options, environment, { name: 'api', command: 'api', httpPort: apiPort });
  const gateways = GATEWAYS.map((name, index) => {
    const settings = { ...environment, SLUICE_GATEWAY_PORT: `${gatewayPorts[index]}` };
    return createRole(options, settings, { name, command: 'gateway', httpPort: takePort() });
  });
  const processors = [...PROCESSORS, GUEST_PROCESSOR].map((name) =>
    createRole(options, environment, { name, command: 'processor', httpPort: takePort() }),
  );
  const first = [api, ...gateways, ...processors.filter(({ name }) => name !== GUEST_PROCESSOR)];
  return assemble({
    environment,
    apiPort,
    roles: [api, ...gateways, ...processors],
    servers: Object.values(servers),
    links: new Map([
      ['device-link', links.devices],
      ['kafka-link', links.kafka],
      ['influxdb-link', links.influxdb],
    ]),
    async start(signal) {
      await Promise.all([servers.kafka.start(), servers.influxdb.start()]);
      links.kafka.aim([servers.kafka.port]);
      links.influxdb.aim([servers.influxdb.port]);
      await Promise.all(first.map((role) => role.start(signal)));
    },
  });
}

async function openLinks() {
  const [devices, kafkaLink, influxdbLink] = await Promise.all([
    TcpProxy.open(),
    TcpProxy.open(),
    TcpProxy.open(),
  ]);
  return { devices, kafka: kafkaLink, influxdb: influxdbLink };
}

function environmentOf(
  { settings }: ConstellationOptions,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  return { PATH: process.env.PATH ?? '', SLUICE_LOGGING_FORMAT: 'json', ...settings, ...own };
}

interface RoleChoice {
  readonly name: string;
  readonly command: string;
  readonly httpPort: number;
}

function createRole(
  { folder, onCrash }: ConstellationOptions,
  environment: Readonly<Record<string, string>>,
  { name, command, httpPort }: RoleChoice,
): RoleProcess {
  const servesApi = command === 'api' || command === 'start';
  return new RoleProcess({
    name,
    program: process.execPath,
    args: [CLI, command],
    environment: servesApi ? environment : { ...environment, SLUICE_OPERATIONS_PORT: `${httpPort}` },
    folder,
    logFile: join(folder, 'logs', `${name}.log`),
    httpUrl: `http://127.0.0.1:${httpPort}`,
    onCrash,
  });
}

interface Parts {
  readonly environment: Readonly<Record<string, string>>;
  readonly apiPort: number;
  readonly roles: readonly RoleProcess[];
  readonly servers: readonly OwnServer[];
  readonly links: ReadonlyMap<string, TcpProxy>;
  readonly disk?: SmallDisk | undefined;
  readonly start: (signal: AbortSignal) => Promise<void>;
}

function assemble({ environment, apiPort, roles, servers, links, disk, start }: Parts): Constellation {
  return {
    mqttUrl: `mqtt://127.0.0.1:${links.get('device-link')?.port}`,
    apiUrl: `http://127.0.0.1:${apiPort}`,
    environment,
    roles,
    victims: new Map<string, Victim>([...roles, ...servers].map((victim) => [victim.name, victim])),
    links,
    disk,
    start,
    async stopRoles() {
      const running = roles.filter(({ isUp }) => isUp);
      const ends = await Promise.all(running.map(async (role) => ({ role, how: await role.stop() })));
      return ends.filter(({ how }) => how !== 'exit code 0').map(({ role, how }) => `${role.name}: ${how}`);
    },
    async end() {
      await Promise.allSettled([
        ...roles.map((role) => role.kill()),
        ...servers.map((server) => server.kill()),
      ]);
      await Promise.allSettled([...links.values()].map((proxy) => proxy.close()));
      await disk?.unmount();
    },
  };
}
