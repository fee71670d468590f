import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './fault.ts';
import { createInjection, type Targets } from './injection.ts';

/** What became of a fault. Times are ms from the start of the load; null where that moment did not come. */
export interface FaultOutcome {
  readonly fault: Fault;
  readonly beganMs: number;
  /** When it was undone: the process started again or resumed, the link healed. */
  readonly healedMs: number;
  /** When what was hit was ready again. */
  readonly readyMs: number | null;
  /** When the processors had caught up with the gateways. */
  readonly caughtUpMs: number | null;
  readonly error: string | null;
}

export interface ExecutionOptions {
  readonly targets: Targets;
  /** Resolves, on the clock of `performance.now()`, when the processors have caught up. */
  readonly nextCaughtUp: () => Promise<number>;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** How long after the last fault the processors are watched, ms. */
const CATCH_UP_DEADLINE_MS = 120_000;

/**
 * Executes a plan from now on. Resolves when each fault is undone and its recovery known. A target that does not come
 * back suffers no more faults: the run has failed, and ends. Rejects when aborted, or when a fault could not be brought
 * about, with nothing under way any more.
 */
export async function executePlan(
  faults: readonly Fault[],
  options: ExecutionOptions,
): Promise<FaultOutcome[]> {
  const failure = new AbortController();
  const { signal } = failure;
  setMaxListeners(0, signal);
  const interrupt = () => failure.abort(options.signal.reason);
  if (options.signal.aborted) interrupt();
  options.signal.addEventListener('abort', interrupt, { once: true });
  const startedAt = performance.now();
  const elapsed = (at = performance.now()) => Math.round(at - startedAt);
  // A target whose recovery takes longer than planned is left in peace until it is ready.
  const latest = new Map<string, Promise<FaultExecution | undefined>>();
  const run = async (fault: Fault): Promise<FaultOutcome[]> => {
    await delay(Math.max(0, fault.atMs - elapsed()), undefined, { signal });
    const before = latest.get(fault.target) ?? Promise.resolve(undefined);
    const execution = before.then((earlier) =>
      isLost(earlier) ? earlier : executeFault(fault, elapsed, { ...options, signal }),
    );
    latest.set(fault.target, execution);
    const done = await execution;
    if (done === undefined || done.fault !== fault) return [];
    const { caughtUp, ...outcome } = done;
    return [{ ...outcome, caughtUpMs: await caughtUp }];
  };
  const runs = faults.map((fault) =>
    run(fault).catch((error: unknown) => {
      failure.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(runs);
  options.signal.removeEventListener('abort', interrupt);
  signal.throwIfAborted();
  return (await Promise.all(runs)).flat();
}

interface FaultExecution extends Omit<FaultOutcome, 'caughtUpMs'> {
  readonly caughtUp: Promise<number | null>;
}

function isLost(execution: FaultExecution | undefined): boolean {
  return execution !== undefined && execution.error !== null;
}

async function executeFault(
  fault: Fault,
  elapsed: (at?: number) => number,
  { targets, nextCaughtUp, say, signal }: ExecutionOptions,
): Promise<FaultExecution> {
  const injection = createInjection(fault, targets);
  const seconds = () => `${(elapsed() / 1_000).toFixed(1).padStart(6)} s`;
  const beganMs = elapsed();
  say(`${seconds()}  ${fault.kind} ${fault.target} for ${(fault.durationMs / 1_000).toFixed(1)} s`);
  await injection.begin(signal);
  await delay(Math.max(0, beganMs + fault.durationMs - elapsed()), undefined, { signal });
  const healedMs = elapsed();
  const problem = await injection.end(signal).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  const readyMs = problem === null ? elapsed() : null;
  say(`${seconds()}  ${fault.target} ${problem ?? 'back'}`);
  const caughtUp = Promise.race([
    nextCaughtUp().then(elapsed),
    delay(CATCH_UP_DEADLINE_MS, null, { signal, ref: false }),
  ]);
  return { fault, beganMs, healedMs, readyMs, error: problem, caughtUp };
}
