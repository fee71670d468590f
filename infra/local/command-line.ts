import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SERVER_NAMES, type ServerName } from './local-server.ts';
import { packageRoot } from './tools.ts';

export const USAGE = `usage: npm run services -- start|stop|status|install [kafka] [influxdb] [mosquitto] [options]

  start      start them and wait until they answer; one that runs is left alone
  stop       end them; ports and what they stored are kept for the next start
  status     what is running
  install    get what is missing (Debian packages as root, Kafka's jars)

  --folder DIR           where they keep everything (default: .services in the checkout)
  --json                 one JSON object on stdout
  --kill                 stop with SIGKILL at once, as a crash would
  --install-limit SEC    give up fetching Kafka's jars after this time (default: 280)
`;

const VERBS = ['start', 'stop', 'status', 'install'] as const;

export interface CommandLine {
  readonly verb: (typeof VERBS)[number];
  readonly names: readonly ServerName[];
  readonly folder: string;
  readonly json: boolean;
  readonly kill: boolean;
  readonly installLimitMs: number;
}

/** Throws an `Error` with one sentence when the arguments are not of the form that `USAGE` shows. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      folder: { type: 'string' },
      json: { type: 'boolean', default: false },
      kill: { type: 'boolean', default: false },
      'install-limit': { type: 'string', default: '280' },
    },
  });
  const [verbWord, ...nameWords] = positionals;
  const verb = VERBS.find((known) => known === verbWord);
  if (verb === undefined) throw new Error(`${verbWord ?? 'nothing'} is not one of ${VERBS.join(', ')}`);
  if (values.kill && verb !== 'stop') throw new Error('--kill goes with stop');
  const installLimit = Number(values['install-limit']);
  if (!(installLimit > 0))
    throw new Error(`--install-limit ${values['install-limit']} is not a number of seconds`);
  const unknown = nameWords.find((word) => !SERVER_NAMES.some((name) => name === word));
  if (unknown !== undefined) throw new Error(`${unknown} is not one of ${SERVER_NAMES.join(', ')}`);
  return {
    verb,
    names: nameWords.length === 0 ? SERVER_NAMES : SERVER_NAMES.filter((name) => nameWords.includes(name)),
    folder: resolve(values.folder ?? join(packageRoot(), '.services')),
    json: values.json,
    kill: values.kill,
    installLimitMs: installLimit * 1_000,
  };
}
