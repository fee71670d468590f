import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startInstance, stopInstance } from '../local/instance.ts';
import type { LocalServer } from '../local/local-server.ts';
import type { Victim } from './victim.ts';

const INSTALL_LIMIT_MS = 280_000;

/** A Kafka or InfluxDB of a run's own; ports and what it stored stay when it is started again. */
export class OwnServer implements Victim {
  readonly name: string;
  readonly #server: LocalServer;
  readonly #folder: string;
  #pid: number | undefined;
  #port = 0;
  #starts = 0;
  /** Settles when the latest start has come to an end. */
  #starting: Promise<unknown> = Promise.resolve();

  constructor(server: LocalServer, folder: string) {
    this.name = server.name;
    this.#server = server;
    this.#folder = folder;
  }

  /** Where clients reach it; known once it has been started. */
  get port(): number {
    return this.#port;
  }

  get starts(): number {
    return this.#starts;
  }

  async start(): Promise<void> {
    const starting = this.#start();
    this.#starting = starting.catch(() => {});
    await starting;
  }

  /** As `Victim.kill`; what is being started is waited for, and killed too. */
  async kill(): Promise<void> {
    await this.#starting;
    this.#pid = undefined;
    await stopInstance(this.#server, this.#folder, true);
  }

  async stop(): Promise<void> {
    this.#pid = undefined;
    await stopInstance(this.#server, this.#folder, false);
  }

  suspend(): void {
    if (this.#pid !== undefined) process.kill(this.#pid, 'SIGSTOP');
  }

  resume(): void {
    if (this.#pid !== undefined) process.kill(this.#pid, 'SIGCONT');
  }

  async #start(): Promise<void> {
    const report = (line: string) => void process.stderr.write(`${line}\n`);
    const instance = await startInstance(this.#server, this.#folder, {
      report,
      installLimitMs: INSTALL_LIMIT_MS,
    });
    if (instance.pid !== this.#pid) this.#starts++;
    this.#pid = instance.pid;
    const address = 'url' in instance ? instance.url : instance.brokers;
    this.#port = Number(address.slice(address.lastIndexOf(':') + 1));
  }
}

/** A Kafka that tells its clients to connect to another port than its own, where a proxy listens. */
export function advertising(kafka: LocalServer, port: number): LocalServer {
  return {
    ...kafka,
    async prepare(folder, ports) {
      const command = await kafka.prepare(folder, ports);
      const file = join(folder, 'server.properties');
      const properties = readFileSync(file, 'utf8');
      const advertised = /^(advertised\.listeners=PLAINTEXT:\/\/127\.0\.0\.1:)\d+$/m;
      if (!advertised.test(properties)) throw new Error(`${file} has no advertised listener to replace`);
      writeFileSync(file, properties.replace(advertised, `$1${port}`));
      return command;
    },
  };
}
