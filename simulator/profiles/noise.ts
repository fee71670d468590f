/**
 * A number in [0, 1) that depends on nothing but its four arguments, which are taken as 32-bit integers: `seed`
 * of the run, `device` index, `purpose` (so that two uses do not share their numbers) and `step`.
 */
export function uniform(seed: number, device: number, purpose: number, step: number): number {
  let h = mix(seed ^ 0x51a1ce);
  h = mix(h ^ Math.imul(device, 0x9e3779b1));
  h = mix(h ^ Math.imul(purpose, 0x85ebca77));
  h = mix(h ^ Math.imul(step, 0xc2b2ae3d));
  return (h >>> 0) / 0x1_0000_0000;
}

/** The finaliser of murmur3: every bit of the argument changes about half of the bits of the result. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Position of a time within a cycle of `periodMs`, in [0, 1), shifted by `phase` in [0, 1). */
export function cyclePosition(timestamp: number, periodMs: number, phase: number): number {
  const turns = timestamp / periodMs + phase;
  return turns - Math.floor(turns);
}

/** Rounds to hundredths, as a sensor with two decimals reports. */
export function toHundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
