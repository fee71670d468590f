import { pino } from 'pino';
import { Counter, Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { type Health, openOperations } from './operations.ts';
import type { HttpServer } from './server.ts';

let server: HttpServer | undefined;

afterEach(() => server?.close());

async function open(health: () => Promise<Health>, registry = new Registry()): Promise<string> {
  const logger = pino({ level: 'silent' });
  server = await openOperations({ host: '127.0.0.1', port: 0, registry, logger, health });
  return server.url;
}

const READY: Health = { ok: true, checks: [{ name: 'event-log', ok: true }] };

describe('the operations of a process', () => {
  it('are alive and ready while every check is ok', async () => {
    const url = await open(async () => READY);
    const live = await fetch(`${url}/health/live`);
    expect([live.status, await live.json()]).toEqual([200, { ok: true }]);
    const ready = await fetch(`${url}/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([200, READY]);
  });

  it('are alive but not ready when a check fails, and say which and why', async () => {
    const failing = {
      ok: false,
      checks: [...READY.checks, { name: 'metric-store', ok: false, reason: 'no answer' }],
    };
    const url = await open(async () => failing);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    const ready = await fetch(`${url}/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([503, failing]);
  });

  it('are not ready when the checks cannot be made', async () => {
    const url = await open(() => Promise.reject(new Error('out of order')));
    const ready = await fetch(`${url}/health/ready`);
    const checks = [{ name: 'health', ok: false, reason: 'out of order' }];
    expect([ready.status, await ready.json()]).toEqual([503, { ok: false, checks }]);
  });

  it('have the counters of the process', async () => {
    const registry = new Registry();
    new Counter({ name: 'sluice_things_total', help: 'Things.', registers: [registry] }).inc(3);
    const response = await fetch(`${await open(async () => READY, registry)}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(await response.text()).toContain('sluice_things_total 3');
  });

  it('have no query API', async () => {
    const url = await open(async () => READY);
    expect((await fetch(`${url}/api/v1/query?metric=t`)).status).toBe(404);
  });
});
