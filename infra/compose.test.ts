import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import { loadConfig } from '../config.ts';

const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.literal('..'), dockerfile: z.string() }).optional(),
  command: z.array(z.string()).optional(),
  ports: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()),
  healthcheck: z.strictObject({
    test: z.array(z.string()),
    interval: z.string(),
    timeout: z.string(),
    start_period: z.string(),
    retries: z.number(),
  }),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.literal('service_healthy') })).default({}),
  volumes: z.array(z.string()).default([]),
  deploy: z.strictObject({ replicas: z.number() }).optional(),
  restart: z.string(),
  stop_grace_period: z.string().optional(),
  read_only: z.boolean().optional(),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
});

const { services, volumes } = z
  .object({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()) })
  .parse(parse(read('compose.yaml'), { merge: true }));
const dockerfile = read('docker/Dockerfile');
const ROLES = ['gateway', 'processor', 'api'] as const;

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

function containerOf(name: string): z.infer<typeof service> {
  const found = services[name];
  if (found === undefined) throw new Error(`compose.yaml has no ${name}`);
  return found;
}

/** What a container of the image is configured to do, given the variables that Compose adds. */
function configOf(added: Record<string, string>): Config {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-compose-'));
  try {
    const file = join(folder, 'sluice.yaml');
    writeFileSync(file, '');
    return loadConfig(file, { ...imageEnvironment(), ...added }).config;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function imageEnvironment(): Record<string, string> {
  const assignments = [...dockerfile.matchAll(/(?<name>SLUICE_\w+)=(?<value>\S+)/g)];
  return Object.fromEntries(assignments.map(({ groups }) => [groups?.name ?? '', groups?.value ?? '']));
}

/** The container's side of each published port. */
function publishedPorts(name: string): number[] {
  return containerOf(name).ports.map((port) => Number(port.split(':').at(-1)));
}

test('each role runs in a service of its own name, processors twice', () => {
  expect(Object.keys(services).sort()).toEqual([...ROLES, 'kafka', 'influxdb'].sort());
  for (const role of ROLES) expect(containerOf(role)).toMatchObject({ image: 'sluice', command: [role] });
  expect(containerOf('processor').deploy?.replicas).toBe(2);
});

test.each(ROLES)(
  '%s is given a configuration that Sluice accepts and that leads to the other services',
  (role) => {
    const { eventLog, metricStore } = configOf(containerOf(role).environment);
    const [, insidePort] =
      /INSIDE:\/\/(kafka:\d+)/.exec(containerOf('kafka').environment.KAFKA_ADVERTISED_LISTENERS ?? '') ?? [];
    expect(eventLog).toMatchObject({ kind: 'kafka', brokers: [insidePort], replicationFactor: 1 });
    expect(metricStore).toMatchObject({ kind: 'influxdb', url: 'http://influxdb:8086' });
  },
);

test('the ports that are published and exposed are those that Sluice listens on', () => {
  const { gateway, api, operations } = configOf({});
  expect(publishedPorts('gateway')).toEqual([gateway.port]);
  expect(publishedPorts('api')).toEqual([api.port]);
  const [, exposed] = /^EXPOSE (.+)$/m.exec(dockerfile) ?? [];
  expect(exposed?.split(' ').map(Number)).toEqual([gateway.port, api.port, operations.port]);
  expect([gateway.host, api.host, operations.host]).toEqual(['0.0.0.0', '0.0.0.0', '0.0.0.0']);
});

test('nothing is published beyond this machine unless it is asked for', () => {
  for (const [name, { ports }] of Object.entries(services)) {
    for (const port of ports)
      expect(port, name).toMatch(/^(\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}|127\.0\.0\.1):/);
  }
});

test('a service waits for what it needs, which all have a health check', () => {
  expect(Object.keys(containerOf('gateway').depends_on)).toEqual(['kafka']);
  expect(Object.keys(containerOf('processor').depends_on)).toEqual(['kafka', 'influxdb']);
  expect(Object.keys(containerOf('api').depends_on)).toEqual(['influxdb']);
});

test('what Kafka and InfluxDB store is in volumes', () => {
  expect(containerOf('kafka').volumes).toEqual([`kafka:${containerOf('kafka').environment.KAFKA_LOG_DIRS}`]);
  expect(containerOf('influxdb').volumes).toEqual(['influxdb:/var/lib/influxdb']);
  expect(Object.keys(volumes)).toEqual(['kafka', 'influxdb']);
});

test('Kafka is the version that local tests run against', () => {
  const [, version] = /kafka_2\.13<\/artifactId>\s*<version>([^<]+)/.exec(read('local/kafka/pom.xml')) ?? [];
  expect(containerOf('kafka').image).toBe(`apache/kafka:${version}`);
});

test('the image runs as a plain user, gets signals itself, and holds no development dependencies', () => {
  const lastStage = dockerfile.slice(dockerfile.lastIndexOf('FROM '));
  expect(lastStage).toMatch(/^USER node$/m);
  expect(lastStage).toMatch(/^ENTRYPOINT \["node", "dist\/cli\.js"\]$/m);
  expect(lastStage).toContain('COPY --from=dependencies');
  expect(dockerfile).toContain('npm ci --omit=dev');
});

test('every folder that the build needs gets into the build context', () => {
  const { include } = z.object({ include: z.array(z.string()) }).parse(JSON.parse(read('../tsconfig.json')));
  const admitted = read('../.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'));
  expect(admitted).toEqual(expect.arrayContaining(include.map((path) => `!${path}`)));
});

async function runHealthCheck(port: number): Promise<unknown> {
  const program = fileURLToPath(new URL('docker/health.mjs', import.meta.url));
  const env = { ...process.env, SLUICE_API_PORT: '1', SLUICE_OPERATIONS_PORT: String(port) };
  const [code] = await once(spawn(process.execPath, [program], { env, stdio: 'ignore' }), 'exit');
  return code;
}

test.each([
  [200, 0],
  [503, 1],
])('with /health/live answering %d the health check ends with %d', async (status, code) => {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/health/live' ? status : 404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('not listening');
    expect(await runHealthCheck(address.port)).toBe(code);
  } finally {
    server.close();
  }
});

test('with nobody listening the health check fails', async () => {
  expect(await runHealthCheck(2)).toBe(1);
});
