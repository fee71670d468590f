import { SimulatorOptionError } from './errors.ts';
import type { QoS } from './fleet/device-link.ts';
import type { ProfileName } from './fleet-workload.ts';

/** A run of simulated devices. Whatever is left out has the default named. */
export interface SimulateOptions {
  /** `mqtt://host:port`. */
  readonly mqttUrl: string;
  /** `http://host:port`. */
  readonly apiUrl: string;
  readonly source: FleetSource | ReplaySource;
  /** Default 1. */
  readonly qos?: QoS;
  /** What values and times are derived from. Default 1. */
  readonly seed?: number;
  /** Part of the device ids: 1 to 64 of A-Z a-z 0-9 . _ : -. By default derived from the time. */
  readonly runId?: string;
  /** Permits that messages which were delivered twice count twice. Default false. */
  readonly allowDuplicates?: boolean;
  /** Most unacknowledged messages of one device, 1 to 1,000. Default 100. */
  readonly maxInFlight?: number;
  /** How long acknowledgements are waited for after the last message, ms. Default 60 s. */
  readonly drainTimeoutMs?: number;
  /** How long the aggregates are waited for, ms. Default 90 s. */
  readonly settleTimeoutMs?: number;
}

export interface FleetSource {
  readonly kind: 'fleet';
  readonly profile: ProfileName;
  readonly devices: number;
  /** Messages per second of the whole fleet. */
  readonly rate: number;
  readonly durationMs: number;
}

export interface ReplaySource {
  readonly kind: 'replay';
  /** A CSV file with the header `timestamp,value`, or `nab` for the recording that comes with the program. */
  readonly file: string;
  /** Default `temperature` for `nab`, otherwise `value`. */
  readonly metric?: string;
  /** How many times shorter the spacing becomes, at least 1. Default: the replay spans less than six days. */
  readonly compress?: number;
  /** Readings per MQTT message, sent as an array when more than one: 1 to 500. Default 1. */
  readonly batch?: number;
  /** MQTT messages per second. Default 1,000. */
  readonly rate?: number;
}

/** Throws `SimulatorOptionError` for the first option that cannot be used. */
export function checkOptions(options: SimulateOptions): void {
  const { source, runId = 'r', maxInFlight = 1, seed = 0 } = options;
  expectUrl('mqttUrl', options.mqttUrl, /^mqtts?:$/, 'mqtt://host:port');
  expectUrl('apiUrl', options.apiUrl, /^https?:$/, 'http://host:port');
  expect('runId', runId, /^[A-Za-z0-9._:-]{1,64}$/.test(runId), '1 to 64 of A-Z a-z 0-9 . _ : -');
  expectBetween('maxInFlight', maxInFlight, 1, 1_000);
  expect('seed', seed, Number.isSafeInteger(seed), 'a whole number');
  if (source.kind === 'fleet') {
    expectBetween('devices', source.devices, 1, 100_000);
    expect(
      'rate',
      source.rate,
      source.rate > 0 && source.rate <= 1_000_000,
      'more than 0, at most 1,000,000',
    );
    expect('duration', source.durationMs, source.durationMs > 0, 'more than 0');
    return;
  }
  const { metric = 'value', compress = 1, batch = 1, rate = 1 } = source;
  expect('metric', metric, /^[A-Za-z0-9._/-]{1,64}$/.test(metric), '1 to 64 of A-Z a-z 0-9 . _ / -');
  expect('compress', compress, compress >= 1 && Number.isFinite(compress), 'at least 1');
  expectBetween('batch', batch, 1, 500);
  expect('rate', rate, rate > 0 && rate <= 1_000_000, 'more than 0, at most 1,000,000');
}

function expectBetween(name: string, value: number, least: number, most: number): void {
  const fits = Number.isSafeInteger(value) && value >= least && value <= most;
  expect(name, value, fits, `a whole number from ${least} to ${most}`);
}

function expectUrl(name: string, value: string, protocol: RegExp, expected: string): void {
  expect(name, value, URL.canParse(value) && protocol.test(new URL(value).protocol), expected);
}

function expect(name: string, value: unknown, fits: boolean, expected: string): void {
  if (!fits) throw new SimulatorOptionError(`${name} is ${JSON.stringify(value)}, expected ${expected}`);
}
