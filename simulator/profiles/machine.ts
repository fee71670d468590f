import { cyclePosition, toHundredths, uniform } from './noise.ts';
import type { Profile } from './profile.ts';

const SHIFT_MS = 600_000;
const RUNNING_SHARE = 0.8;
const STANDBY_WATTS = 12;

const purpose = {
  phase: 1,
  rpm: 2,
  load: 3,
  wear: 4,
  rpmNoise: 5,
  vibrationNoise: 6,
  powerNoise: 7,
  knock: 8,
};

/**
 * A machine with a motor that runs eight of every ten minutes. Nominal speed is 1,200 to 3,000 rpm, load and wear are
 * chosen per device; power follows speed and load, vibration follows speed and wear, and about one reading in a
 * thousand of a running machine is a knock of 8 to 12 mm/s.
 */
export const machine: Profile = {
  name: 'machine',
  metrics: [
    { name: 'vibration', kind: 'number', unit: 'mm/s', min: 0, max: 12 },
    { name: 'rpm', kind: 'number', unit: '1/min', min: 0, max: 3_100 },
    { name: 'power', kind: 'number', unit: 'W', min: 0, max: 7_000 },
    { name: 'running', kind: 'boolean', unit: '', min: 0, max: 1 },
  ],
  valuesAt(seed, device, timestamp) {
    const noise = (use: number) => uniform(seed, device, use, timestamp);
    const constant = (use: number) => uniform(seed, device, use, 0);
    const running = cyclePosition(timestamp, SHIFT_MS, constant(purpose.phase)) < RUNNING_SHARE;
    if (!running) {
      return [
        toHundredths(0.05 * noise(purpose.vibrationNoise)),
        0,
        toHundredths(STANDBY_WATTS + noise(purpose.powerNoise)),
        0,
      ];
    }
    const nominal = 1_200 + 1_800 * constant(purpose.rpm);
    const rpm = nominal * (1 + 0.04 * (noise(purpose.rpmNoise) - 0.5));
    const load = 0.3 + 0.6 * constant(purpose.load);
    const power = 2.2 * rpm * load + 100 * noise(purpose.powerNoise);
    const knocks = noise(purpose.knock) < 0.001;
    const smooth = 0.5 + 3 * constant(purpose.wear) * (rpm / 3_000) + 0.4 * noise(purpose.vibrationNoise);
    const vibration = knocks ? 8 + 4 * noise(purpose.vibrationNoise) : smooth;
    return [toHundredths(vibration), toHundredths(rpm), toHundredths(power), 1];
  },
};
