import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import { answerParent, tellParent } from './subject.ts';

/** The baseline: aedes with nothing behind it, acknowledging at once. */
const broker = await Aedes.createBroker();
const server = createServer((socket) => {
  socket.setNoDelay(true);
  broker.handle(socket);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  tellParent({ kind: 'ready', port: typeof address === 'object' && address !== null ? address.port : 0 });
});
answerParent(async () => {
  server.close();
});
