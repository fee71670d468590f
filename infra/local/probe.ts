import { connect } from 'node:net';

/**
 * Sends `request` to a local port and resolves to the first bytes that come back; `undefined` when nothing does within
 * `deadlineMs`.
 */
export function firstAnswer(port: number, request: Buffer, deadlineMs = 1_000): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const settle = (answer?: Buffer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(deadlineMs, () => settle());
    socket.once('connect', () => socket.write(request));
    socket.once('data', settle);
    socket.once('error', () => settle());
    socket.once('close', () => settle());
  });
}
