import { vi } from 'vitest';

/** Waits until a check passes; its failure is shown when it has not within 15 s. */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 15_000, interval: 5 });
}
