import { describe, expect, it } from 'vitest';
import { createFleetWorkload } from './fleet-workload.ts';
import { machine } from './profiles/machine.ts';
import { thermostat } from './profiles/thermostat.ts';

const START = 1_795_000_000_000;
const options = { profile: 'mixed', devices: 4, rate: 8, durationMs: 3_000, seed: 5, runId: 'r1' } as const;

describe('the workload of a fleet', () => {
  it('names devices by profile, run and index', () => {
    expect(createFleetWorkload(options).deviceIds).toEqual([
      'thermostat-r1-0',
      'machine-r1-1',
      'thermostat-r1-2',
      'machine-r1-3',
    ]);
  });

  it('sends canonical messages whose values anyone can recompute from seed, device and time', () => {
    const workload = createFleetWorkload(options);
    const content = workload.startingAt(START);
    for (const [device, profile] of [thermostat, machine, thermostat, machine].entries()) {
      const { ts, seq, metrics } = JSON.parse(content.payload(device, 2));
      expect(seq).toBe(2);
      expect(ts).toBe(START + Math.floor(workload.schedule.offsetOfMs(device, 2)));
      expect(Object.keys(metrics)).toEqual(workload.metricsOf(device));
      const values = profile.valuesAt(options.seed, device, ts);
      expect(Object.values(metrics).map(Number)).toEqual(values);
      expect(content.samples(device, 2)).toEqual([values]);
      for (const { name, kind } of profile.metrics) expect(typeof metrics[name]).toBe(kind);
    }
  });

  it('keeps its timestamps between the first and the last that it names', () => {
    const workload = createFleetWorkload(options);
    const content = workload.startingAt(START);
    const sent = new Map<number, number>();
    for (let n = 0; n < workload.schedule.total; n++) {
      const device = workload.schedule.deviceOf(n);
      const sequence = sent.get(device) ?? 0;
      sent.set(device, sequence + 1);
      const { ts } = JSON.parse(content.payload(device, sequence));
      expect(ts).toBeGreaterThanOrEqual(content.firstTimestamp);
      expect(ts).toBeLessThanOrEqual(content.lastTimestamp);
    }
  });
});
