import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { chooseFreePorts } from '../local/free-port.ts';
import { RoleProcess } from './role-process.ts';

const NEVER = new AbortController().signal;

/** Ready once it serves; SIGTERM ends it with exit code 0, and `/die` with 3. */
const SERVER = `
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/die') process.exit(3);
    response.end(String(process.pid));
  });
  server.listen(Number(process.env.PORT), '127.0.0.1');
  process.on('SIGTERM', () => process.exit(0));
  console.log('started');
`;

async function createRole(script = SERVER) {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-role-'));
  const [port = 0] = await chooseFreePorts(1);
  const crashes: string[] = [];
  const logFile = join(folder, 'role.log');
  const role = new RoleProcess({
    name: 'role',
    program: process.execPath,
    args: ['-e', script],
    environment: { PORT: `${port}` },
    folder,
    logFile,
    httpUrl: `http://127.0.0.1:${port}`,
    onCrash: (name, how) => crashes.push(`${name}: ${how}`),
  });
  onTestFinished(async () => {
    await role.kill();
    await rm(folder, { recursive: true, force: true });
  });
  return { role, crashes, logFile };
}

async function pidOf({ httpUrl }: RoleProcess): Promise<string> {
  const answer = await fetch(httpUrl, { signal: AbortSignal.timeout(500) });
  return await answer.text();
}

test('a killed role is gone, and another process after its restart', async () => {
  const { role, crashes, logFile } = await createRole();
  await role.start(NEVER);
  const first = await pidOf(role);
  await role.kill();
  expect(role.isUp).toBe(false);
  await expect(pidOf(role)).rejects.toThrow();
  await role.start(NEVER);
  expect(await pidOf(role)).not.toBe(first);
  expect(role.starts).toBe(2);
  expect(crashes).toEqual([]);
  expect(await readFile(logFile, 'utf8')).toBe('started\nstarted\n');
});

test('a suspended role does not answer until it is resumed', async () => {
  const { role } = await createRole();
  await role.start(NEVER);
  const first = await pidOf(role);
  role.suspend();
  await expect(pidOf(role)).rejects.toThrow();
  role.resume();
  await role.start(NEVER);
  expect(await pidOf(role)).toBe(first);
});

test('a stop says how the role ended', async () => {
  const { role, crashes } = await createRole();
  await role.start(NEVER);
  expect(await role.stop()).toBe('exit code 0');
  expect(crashes).toEqual([]);
});

test('a role that ends by itself is reported and started again', async () => {
  const { role, crashes } = await createRole();
  await role.start(NEVER);
  await fetch(`${role.httpUrl}/die`).catch(() => {});
  await expect.poll(() => crashes).toEqual(['role: exit code 3']);
  await role.start(NEVER);
  expect(role.starts).toBe(2);
});

test('a role that is killed while it ends by itself stays dead', async () => {
  const { role } = await createRole('process.exit(3)');
  const started = role.start(NEVER).then(
    () => 'started',
    ({ message }) => message,
  );
  await role.kill();
  expect(await started).toBe('role was ended before it was ready');
  expect(role.starts).toBe(1);
});

test('an aborted start rejects', async () => {
  const { role } = await createRole('setInterval(() => {}, 1000)');
  await expect(role.start(AbortSignal.timeout(50))).rejects.toThrow(/not waited for/);
});
