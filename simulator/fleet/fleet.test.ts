import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestBroker } from '../broker.fixture.ts';
import { FleetConnectError } from '../errors.ts';
import { createFleetWorkload } from '../fleet-workload.ts';
import type { Content, Workload } from '../workload.ts';
import type { QoS } from './device-link.ts';
import { Fleet, type FleetOptions } from './fleet.ts';

const patiently = { timeout: 10_000 };
const never = new AbortController().signal;
let broker: TestBroker;
let fleet: Fleet | undefined;

afterEach(async () => {
  await fleet?.close();
  fleet = undefined;
  await broker?.kill();
});

const mixed = { profile: 'mixed', devices: 20, rate: 400, durationMs: 1_000, seed: 1, runId: 'r' } as const;

async function connectFleet(workload: Workload, options: Partial<FleetOptions> = {}): Promise<Fleet> {
  broker = await TestBroker.open();
  fleet = new Fleet({ ...defaults(broker.url, workload), ...options });
  await fleet.connect(never);
  return fleet;
}

function defaults(url: string, workload: Workload): FleetOptions {
  return {
    url,
    qos: 1,
    workload,
    seed: 1,
    maxInFlight: 100,
    connectConcurrency: 10,
    connectTimeoutMs: 10_000,
    drainTimeoutMs: 20_000,
  };
}

/** What each device has to have sent by the schedule, in order. */
function payloadsOf(workload: Workload, content: Content): Map<string, string[]> {
  const payloads = new Map<string, string[]>(
    workload.deviceIds.map((deviceId) => [`devices/${deviceId}/telemetry`, []]),
  );
  for (let n = 0; n < workload.schedule.total; n++) {
    const device = workload.schedule.deviceOf(n);
    const sent = payloads.get(`devices/${workload.deviceIds[device]}/telemetry`);
    sent?.push(content.payload(device, sent.length));
  }
  return payloads;
}

describe('a fleet', () => {
  it.each<QoS>([0, 1, 2])('sends every message of its schedule once, in order, with QoS %i', async (qos) => {
    const workload = createFleetWorkload(mixed);
    const sending = await connectFleet(workload, { qos });
    const content = await sending.run(never);
    await vi.waitFor(() => expect(broker.totalReceived).toBe(400), patiently);
    expect(broker.received).toEqual(payloadsOf(workload, content));
    const { totalSent, totalAcknowledged } = sending.ledger;
    expect([totalSent, totalAcknowledged]).toEqual([400, qos === 0 ? 0 : 400]);
    expect(sending.latency.figures()).toEqual(qos === 0 ? null : expect.any(Object));
    expect(sending.progress()).toMatchObject({ due: 400, sent: 400, inFlight: 0, connected: 20 });
  });

  it('measures latency from the time at which a message was due, so that a stall of the server shows', async () => {
    const workload = createFleetWorkload({ ...mixed, devices: 2, rate: 400, durationMs: 2_000 });
    const sending = await connectFleet(workload, { maxInFlight: 1 });
    let release: (() => void) | undefined;
    const held: (() => void)[] = [];
    broker.authorizePublish = (_client, _packet, callback) => {
      if (release === undefined) {
        release = () => {
          broker.authorizePublish = (_later, _packet, answer) => answer(null);
          for (const answer of held) answer();
        };
        setTimeout(release, 1_000);
      }
      held.push(() => callback(null));
    };
    await sending.run(never);
    const { totalSent, totalAcknowledged } = sending.ledger;
    expect([totalSent, totalAcknowledged]).toEqual([800, 800]);
    const { p50 = 0, p99 = 0, max = 0 } = sending.latency.figures() ?? {};
    expect(max).toBeGreaterThan(950);
    expect(p50).toBeLessThan(700);
    // About half of the messages became due during the stall, though only the first of each device was on its way.
    expect(p99).toBeGreaterThan(800);
    expect(sending.overruns).toBeGreaterThan(250);
    expect(sending.scheduleDelay.figures()?.max).toBeGreaterThan(900);
  });

  it.each<QoS>([1, 2])(
    'loses nothing acknowledged when the server is killed in mid-run, with QoS %i',
    async (qos) => {
      const workload = createFleetWorkload({ ...mixed, durationMs: 3_000 });
      const sending = await connectFleet(workload, { qos });
      broker.authorizePublish = (_client, _packet, callback) => setTimeout(() => callback(null), 20);
      const running = sending.run(never);
      await vi.waitFor(() => expect(broker.totalReceived).toBeGreaterThan(300), patiently);
      await broker.kill();
      await broker.start();
      const content = await running;

      expect(sending.connectionsLost).toBe(20);
      const { totalSent, totalAcknowledged, totalRepeated } = sending.ledger;
      expect([totalSent, totalAcknowledged]).toEqual([1_200, 1_200]);
      expect(totalRepeated).toBeGreaterThan(0);
      const expected = payloadsOf(workload, content);
      for (const [topic, payloads] of broker.received)
        expect(new Set(payloads)).toEqual(new Set(expected.get(topic)));
      expect(broker.totalReceived).toBeLessThanOrEqual(1_200 + totalRepeated);
    },
  );

  it('bounds what is unacknowledged, and ends though nothing is ever acknowledged', async () => {
    const workload = createFleetWorkload({ ...mixed, devices: 2, rate: 200, durationMs: 500 });
    const sending = await connectFleet(workload, { maxInFlight: 3, drainTimeoutMs: 300 });
    broker.authorizePublish = () => {};
    await sending.run(never);
    expect(sending.progress()).toMatchObject({ due: 100, sent: 6, acknowledged: 0, inFlight: 6 });
    expect([...sending.ledger.unknown(0)]).toEqual([0, 1, 2]);
  });

  it('stops sending on demand and still takes the acknowledgements', async () => {
    const workload = createFleetWorkload({ ...mixed, durationMs: 600_000 });
    const sending = await connectFleet(workload);
    const controller = new AbortController();
    const running = sending.run(controller.signal);
    await vi.waitFor(() => expect(sending.ledger.totalAcknowledged).toBeGreaterThan(20), patiently);
    controller.abort();
    await running;
    const { totalSent, totalAcknowledged } = sending.ledger;
    expect(totalAcknowledged).toBe(totalSent);
  });

  it('says at once that nobody listens', async () => {
    broker = await TestBroker.open();
    const { url } = broker;
    await broker.kill();
    fleet = new Fleet(defaults(url, createFleetWorkload(mixed)));
    const refusal = await fleet.connect(never).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(FleetConnectError);
    expect(refusal).toMatchObject({ retryable: true, message: expect.stringContaining('ECONNREFUSED') });
  });
});
