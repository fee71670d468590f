import { createServer } from 'node:net';

/**
 * Below the range from which the kernel takes the ports of outgoing connections (32768 and up), so that the port of a
 * stopped instance is still free when it comes back.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** Distinct local TCP ports that nothing listens on at this moment. */
export async function chooseFreePorts(count: number): Promise<number[]> {
  const chosen = new Set<number>();
  for (let attempt = 0; chosen.size < count; attempt++) {
    if (attempt > 1_000) throw new Error(`no free TCP port between ${LOWEST} and ${HIGHEST}`);
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) chosen.add(port);
  }
  return [...chosen];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const listener = createServer();
    listener.once('error', () => resolve(false));
    listener.listen(port, '127.0.0.1', () => listener.close(() => resolve(true)));
  });
}
