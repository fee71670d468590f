import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type LocalServer, MissingToolError } from './local-server.ts';
import { firstAnswer } from './probe.ts';
import { findProgram } from './tools.ts';

/** Mosquitto 2 from the distribution's package: a broker to compare the gateway with, or to bridge from. */
export const mosquitto: LocalServer = {
  name: 'mosquitto',
  portCount: 1,
  startDeadlineMs: 15_000,
  debianPackages: ['mosquitto'],
  address: (port) => ({ url: `mqtt://127.0.0.1:${port}` }),
  answers: acceptsConnect,
  install: async () => {},

  async requireTools() {
    requireMosquitto();
  },

  async prepare(folder, [port]) {
    const config = join(folder, 'mosquitto.conf');
    writeFileSync(config, mosquittoConfig(folder, Number(port)));
    return { program: requireMosquitto(), args: ['-c', config] };
  },
};

function requireMosquitto(): string {
  const program = findProgram('mosquitto');
  if (program === undefined) {
    throw new MissingToolError('mosquitto: mosquitto not found: apt-get install mosquitto');
  }
  return program;
}

function mosquittoConfig(folder: string, port: number): string {
  // Started by root, Mosquitto would change to a user who may not write here; `user` is ignored for anybody else.
  return `listener ${port} 127.0.0.1
allow_anonymous true
user ${userInfo().username}
persistence true
persistence_location ${folder}/
log_dest stderr
log_type error
log_type warning
log_type notice
`;
}

async function acceptsConnect(port: number): Promise<boolean> {
  const answer = await firstAnswer(port, CONNECT);
  return answer !== undefined && answer[0] === 0x20 && answer[3] === 0;
}

/** MQTT 3.1.1 CONNECT: clean session, keep-alive 10 s, empty client id. */
const CONNECT = Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 10, 0, 0]);
