import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordingError } from './errors.ts';
import { parseRecording, readRecording } from './recording.ts';
import { createReplayWorkload, defaultCompression } from './replay-workload.ts';

const START = 1_795_000_000_000;
const NAB = fileURLToPath(new URL('recordings/nab/ambient_temperature_system_failure.csv', import.meta.url));
const csv = (...rows: string[]) => `timestamp,value\n${rows.join('\n')}\n`;
const hourly = csv('2020-01-01 00:00:00,1.5', '2020-01-01 01:00:00,-2', '2020-01-01T03:00Z,3e2');

describe('a recording', () => {
  it('reads times without a zone as UTC', () => {
    const { rows } = parseRecording(csv('2020-01-01 00:00:00,1.5', '2020-01-01T02:00:00.250+02:00,0'));
    expect(rows).toEqual([
      { timestamp: Date.UTC(2020, 0, 1), value: 1.5 },
      { timestamp: Date.UTC(2020, 0, 1) + 250, value: 0 },
    ]);
  });

  it.each([
    ['a,b\n', 'line 1 is "a,b", expected the header'],
    ['timestamp,value\n', 'no rows'],
    [csv('2020-01-01 00:00:00,1', 'yesterday,2'), 'line 3 has "yesterday", expected a time'],
    [csv('2020-13-01 00:00:00,1'), 'line 2 has "2020-13-01 00:00:00", expected a time'],
    [csv('2020-01-01 00:00:00,NaN'), 'line 2 has "NaN", expected a finite number'],
    [csv('2020-01-01 00:00:00,'), 'line 2 has "", expected a finite number'],
    [csv('2020-01-01 00:00:00,1,2'), 'expected two columns'],
  ])('%j is refused by line', (text, reason) => {
    expect(() => parseRecording(text)).toThrow(RecordingError);
    expect(() => parseRecording(text)).toThrow(reason);
  });

  it('that is not there is refused by name', async () => {
    await expect(readRecording('no-such.csv')).rejects.toThrow('cannot replay no-such.csv: ENOENT');
  });

  it('of the benchmark has 7,267 rows and fits six days when an hour is a minute', async () => {
    const recording = await readRecording(NAB);
    expect(recording.rows).toHaveLength(7_267);
    expect(defaultCompression(recording)).toBe(60);
  });
});

describe('a replay', () => {
  const options = { metric: 't', compress: 60, batch: 1, rate: 100, runId: 'r' };

  it('sends the latest reading at the start of the run and the others before it, closer together', () => {
    const workload = createReplayWorkload({ ...options, recording: parseRecording(hourly) });
    const content = workload.startingAt(START);
    expect(workload.deviceIds).toEqual(['replay-r-0']);
    expect(workload.schedule.total).toBe(3);
    expect([0, 1, 2].map((sequence) => JSON.parse(content.payload(0, sequence)))).toEqual([
      { ts: START - 180_000, seq: 0, metrics: { t: 1.5 } },
      { ts: START - 120_000, seq: 1, metrics: { t: -2 } },
      { ts: START, seq: 2, metrics: { t: 300 } },
    ]);
    expect([content.firstTimestamp, content.lastTimestamp]).toEqual([START - 180_000, START]);
  });

  it('sends arrays when batched, the last one shorter', () => {
    const workload = createReplayWorkload({ ...options, batch: 2, recording: parseRecording(hourly) });
    const content = workload.startingAt(START);
    expect(workload.schedule.total).toBe(2);
    expect(JSON.parse(content.payload(0, 0))).toHaveLength(2);
    expect(JSON.parse(content.payload(0, 1))).toEqual([{ ts: START, seq: 2, metrics: { t: 300 } }]);
    expect(content.samples(0, 0)).toEqual([[1.5], [-2]]);
    expect(content.samples(0, 1)).toEqual([[300]]);
  });

  it('spans less than six days by default, whatever the recording spans', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 14 }), (span) => {
        const recording = {
          rows: [
            { timestamp: 0, value: 1 },
            { timestamp: span, value: 2 },
          ],
        };
        const compress = defaultCompression(recording);
        expect(compress).toBeGreaterThanOrEqual(1);
        expect(span / compress).toBeLessThan(6 * 86_400_000);
      }),
    );
  });
});
