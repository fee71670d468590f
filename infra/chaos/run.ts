import { join } from 'node:path';
import { type Constellation, openConstellation } from './constellation.ts';
import { countErrorsOf } from './error-lines.ts';
import { executePlan, type FaultOutcome } from './execution.ts';
import { type FaultKind, ruleOf } from './fault.ts';
import { LagWatch } from './lag-watch.ts';
import { Load } from './load.ts';
import { planFaults } from './plan.ts';
import { drawReport, type Report, type RunOptions } from './report.ts';
import { diskBytesOf, requireSpace, sizeOf } from './storage.ts';
import { verify } from './verification.ts';

export interface RunContext {
  readonly folder: string;
  /** `SLUICE_…` variables for every process. */
  readonly settings: Readonly<Record<string, string>>;
  readonly say: (line: string) => void;
  /** Ends the run; `runChaos` then rejects once everything it started is gone. */
  readonly signal: AbortSignal;
}

const PARTITIONS = 12;
const PROGRESS_MS = 30_000;
/** Messages are in the log twice where they were sent again. */
const MOST_TIMES_IN_LOG = 2;

/** Starts a pipeline, hurts it while a fleet sends, heals it, and reports. Everything it starts is gone when it settles. */
export async function runChaos(options: RunOptions, context: RunContext): Promise<Report> {
  const crashes: string[] = [];
  const diskBytes = diskBytesOf(options);
  await requireSpace(context.folder, diskBytes);
  const constellation = await openConstellation({
    engine: options.engine,
    diskBytes,
    folder: context.folder,
    say: context.say,
    settings: { ...context.settings, SLUICE_EVENT_LOG_PARTITIONS: `${PARTITIONS}` },
    onCrash(name, how) {
      crashes.push(`${name} (${how})`);
      context.say(`          ${name} ended by itself: ${how}`);
    },
  });
  try {
    await constellation.start(context.signal);
    return await hurt(constellation, crashes, options, context);
  } finally {
    await constellation.end();
  }
}

async function hurt(
  constellation: Constellation,
  crashes: readonly string[],
  options: RunOptions,
  context: RunContext,
): Promise<Report> {
  const { folder, say, signal } = context;
  const { mqttUrl, apiUrl, environment } = constellation;
  const lengthMs = options.seconds * 1_000;
  const load = new Load({ ...options, mqttUrl, apiUrl, environment, folder, lengthMs });
  const watch = new LagWatch(constellation.roles, { partitions: PARTITIONS, mostLag: options.rate / 2 });
  const progress = setInterval(() => say(`          ${load.latest}`), PROGRESS_MS);
  try {
    await unlessAborted(load.running, signal);
    say('devices send');
    const plan = planFaults({ ...options, lengthMs }).filter(({ kind }) => canHappen(kind, constellation));
    const outcomes = await executePlan(plan, {
      targets: constellation,
      nextCaughtUp: () => watch.nextCaughtUp(),
      say,
      signal,
    });
    say('all faults are over; waiting for the verdict');
    const verdict = await unlessAborted(load.verdict, signal);
    clearInterval(progress);
    await watch.close();
    const restarts = restartsOf(constellation, outcomes);
    const uncleanStops = await constellation.stopRoles();
    const fromMs = Date.parse(verdict.run.startedAt);
    const toMs = fromMs + verdict.run.durationMs;
    const mostMessages = MOST_TIMES_IN_LOG * verdict.messages.due;
    const verification = await verify({ environment, folder, fromMs, toMs, mostMessages, signal });
    const errorsLogged = countErrorsOf(
      join(folder, 'logs'),
      constellation.roles.map(({ name }) => name),
    );
    return drawReport({
      options,
      outcomes,
      verdict,
      verification,
      restarts,
      crashes,
      uncleanStops,
      errorsLogged,
      resources: {
        peakMemoryBytes: process.resourceUsage().maxRSS * 1_024,
        storedBytes: await sizeOf(folder),
      },
    });
  } finally {
    clearInterval(progress);
    load.end();
    await watch.close();
  }
}

function canHappen(kind: FaultKind, { disk }: Constellation): boolean {
  return disk !== undefined || ruleOf(kind).on !== 'disk';
}

/** Guests are expected to start once for each fault that brings them. */
function restartsOf({ victims }: Constellation, outcomes: readonly FaultOutcome[]): Record<string, number> {
  const restarts: Record<string, number> = {};
  for (const [name, { starts }] of victims) {
    const joins = outcomes.filter(
      ({ fault }) => fault.kind === 'join-processor' && fault.target === name,
    ).length;
    const extra = starts - Math.max(1, joins);
    if (extra > 0) restarts[name] = extra;
  }
  return restarts;
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new Error('interrupted'));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
