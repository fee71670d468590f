import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a measured process tells its parent. */
export type SubjectMessage =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'cpu'; readonly micros: number }
  | { readonly kind: 'progress'; readonly done: number }
  | { readonly kind: 'result'; readonly result: Readonly<Record<string, number>> };

/** What the parent asks. */
export type SubjectRequest = { readonly kind: 'cpu' } | { readonly kind: 'stop' };

const START_DEADLINE_MS = 60_000;

/** A child process whose CPU time is measured from outside the load. */
export class Subject {
  readonly #child: ChildProcess;
  readonly #received: SubjectMessage[] = [];
  readonly #waiting: { kind: SubjectMessage['kind']; resolve: (message: SubjectMessage) => void }[] = [];

  constructor(program: string, options: Readonly<Record<string, unknown>>) {
    const path = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
    this.#child = fork(path, [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (message: SubjectMessage) => this.#deliver(message));
  }

  #deliver(message: SubjectMessage): void {
    const at = this.#waiting.findIndex(({ kind }) => kind === message.kind);
    if (at === -1) this.#received.push(message);
    else this.#waiting.splice(at, 1)[0]?.resolve(message);
  }

  /** The next message of a kind; rejects when the process ends or the deadline passes first. */
  async next<K extends SubjectMessage['kind']>(
    kind: K,
    deadlineMs = START_DEADLINE_MS,
  ): Promise<Extract<SubjectMessage, { kind: K }>> {
    const at = this.#received.findIndex((message) => message.kind === kind);
    if (at !== -1) return this.#received.splice(at, 1)[0] as Extract<SubjectMessage, { kind: K }>;
    return await new Promise((resolve, reject) => {
      const onExit = (code: number | null) =>
        reject(new Error(`the measured process ended with code ${code}`));
      const timer = setTimeout(
        () => reject(new Error(`no "${kind}" from the measured process within ${deadlineMs} ms`)),
        deadlineMs,
      );
      this.#child.once('exit', onExit);
      this.#waiting.push({
        kind,
        resolve: (message) => {
          clearTimeout(timer);
          this.#child.off('exit', onExit);
          resolve(message as Extract<SubjectMessage, { kind: K }>);
        },
      });
    });
  }

  /** CPU time that the process has used so far, user and system, microseconds. */
  async cpuMicros(): Promise<number> {
    this.#child.send({ kind: 'cpu' } satisfies SubjectRequest);
    return (await this.next('cpu')).micros;
  }

  /** Asks the process to end and waits for it; ends it by force after 20 s. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    this.#child.send({ kind: 'stop' } satisfies SubjectRequest);
    await ended;
    clearTimeout(timer);
  }
}

/** The child's side: its options, and answers to its parent. */
export function subjectOptions<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}');
}

export function tellParent(message: SubjectMessage): void {
  process.send?.(message);
}

/** Answers CPU requests (counted from `since`) and runs `stop` when asked to end. */
export function answerParent(stop: () => Promise<void>, since?: NodeJS.CpuUsage): void {
  process.on('message', (request: SubjectRequest) => {
    if (request.kind === 'cpu') {
      const { user, system } = process.cpuUsage(since);
      tellParent({ kind: 'cpu', micros: user + system });
      return;
    }
    void stop().finally(() => process.exit(0));
  });
}
