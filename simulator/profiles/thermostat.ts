import { cyclePosition, toHundredths, uniform } from './noise.ts';
import type { Profile } from './profile.ts';

const DAY_MS = 86_400_000;
const NIGHT_SETBACK = 3;
/** The room is heated from half a degree below the setpoint to half a degree above it. */
const HYSTERESIS = 0.5;
const HEATING_SHARE = 0.4;

const purpose = { setpoint: 1, cycle: 2, cyclePhase: 3, temperatureNoise: 4, humidity: 5, humidityNoise: 6 };

/**
 * A room thermostat. The setpoint is 18 to 23 degrees in steps of a half, chosen per device, and three degrees lower
 * between 22:00 and 06:00 UTC. The temperature saws round the setpoint in a cycle of 10 to 30 minutes: it rises while
 * the heating is on (two fifths of the cycle) and falls while it is off. Humidity follows the day.
 */
export const thermostat: Profile = {
  name: 'thermostat',
  metrics: [
    { name: 'temperature', kind: 'number', unit: '°C', min: 10, max: 30 },
    { name: 'humidity', kind: 'number', unit: '%', min: 20, max: 80 },
    { name: 'setpoint', kind: 'number', unit: '°C', min: 15, max: 23 },
    { name: 'heating', kind: 'boolean', unit: '', min: 0, max: 1 },
  ],
  valuesAt(seed, device, timestamp) {
    const setpoint = setpointAt(seed, device, timestamp);
    const periodMs = (10 + 20 * uniform(seed, device, purpose.cycle, 0)) * 60_000;
    const position = cyclePosition(timestamp, periodMs, uniform(seed, device, purpose.cyclePhase, 0));
    const heating = position < HEATING_SHARE;
    const risen = heating ? position / HEATING_SHARE : (1 - position) / (1 - HEATING_SHARE);
    const noise = 0.2 * (uniform(seed, device, purpose.temperatureNoise, timestamp) - 0.5);
    const temperature = setpoint + HYSTERESIS * (2 * risen - 1) + noise;
    return [
      toHundredths(temperature),
      toHundredths(humidityAt(seed, device, timestamp)),
      setpoint,
      heating ? 1 : 0,
    ];
  },
};

function setpointAt(seed: number, device: number, timestamp: number): number {
  const comfort = 18 + 0.5 * Math.floor(11 * uniform(seed, device, purpose.setpoint, 0));
  const hour = 24 * cyclePosition(timestamp, DAY_MS, 0);
  return hour < 6 || hour >= 22 ? comfort - NIGHT_SETBACK : comfort;
}

function humidityAt(seed: number, device: number, timestamp: number): number {
  const usual = 35 + 25 * uniform(seed, device, purpose.humidity, 0);
  const day = 10 * Math.sin(2 * Math.PI * cyclePosition(timestamp, DAY_MS, 0));
  return usual + day + 2 * (uniform(seed, device, purpose.humidityNoise, timestamp) - 0.5);
}
