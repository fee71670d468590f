import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';
import { packageRoot } from './tools.ts';

test('without names every server is meant, in the folder .services of the checkout', () => {
  expect(parseCommandLine(['start'])).toEqual({
    verb: 'start',
    names: ['kafka', 'influxdb', 'mosquitto'],
    folder: resolve(packageRoot(), '.services'),
    json: false,
    kill: false,
    installLimitMs: 280_000,
  });
});

test('names and options are taken in any order', () => {
  const line = parseCommandLine(['--json', 'stop', '--folder', '/srv/x', 'mosquitto', '--kill', 'kafka']);
  expect(line).toMatchObject({
    verb: 'stop',
    names: ['kafka', 'mosquitto'],
    folder: '/srv/x',
    json: true,
    kill: true,
  });
});

test.each([
  [[], 'nothing is not one of start, stop'],
  [['launch'], 'launch is not one of start, stop'],
  [['start', 'redis'], 'redis is not one of kafka, influxdb, mosquitto'],
  [['start', '--kill'], '--kill goes with stop'],
  [['start', '--install-limit', 'soon'], '--install-limit soon is not a number of seconds'],
  [['start', '--port', '9092'], "Unknown option '--port'"],
])('%j is refused', (argv, message) => {
  expect(() => parseCommandLine(argv)).toThrow(message);
});
