import type { Logger } from 'pino';
import type { Config } from './config/schema.ts';
import { openPipeline, type Pipeline, ROLES, type Role } from './pipeline.ts';

/** An orderly stop that takes longer than this is cut short; what was acknowledged is durable all the same. */
const STOP_DEADLINE_MS = 30_000;

/** The roles asked for cannot run with the engines that the configuration names. */
export class RoleError extends Error {
  readonly code = 'PIPELINE_ROLE';
  readonly retryable = false;
  override readonly name = 'RoleError';
}

/** Runs roles until SIGINT or SIGTERM, then stops source-first. Returns the exit code. Throws `RoleError`. */
export async function serve(config: Config, roles: readonly Role[], logger: Logger): Promise<number> {
  refuseSplitEmbedded(config, roles);
  const stop = stopSignal(logger);
  const pipeline = await openUnlessStopped(config, roles, logger, stop);
  if (pipeline === undefined) return 0;
  if (pipeline.mqttUrl !== undefined) {
    logger.info(`devices publish to ${pipeline.mqttUrl} on ${config.gateway.topicTemplate}`);
  }
  logger.info(
    `${roles.includes('api') ? 'query API, health and metrics' : 'health and metrics'} at ${pipeline.httpUrl}`,
  );
  await aborted(stop);
  await pipeline.close();
  logger.info('stopped');
  return 0;
}

/** Undefined when the process was asked to stop before everything was open. */
async function openUnlessStopped(
  config: Config,
  roles: readonly Role[],
  logger: Logger,
  stop: AbortSignal,
): Promise<Pipeline | undefined> {
  try {
    return await openPipeline(config, roles, logger, stop);
  } catch (error) {
    if (!stop.aborted) throw error;
    logger.info('stopped before it had started');
    return undefined;
  }
}

/** Aborts at the first SIGINT or SIGTERM. A second one, or the stop deadline, ends the process at once. */
export function stopSignal(logger: Logger): AbortSignal {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      logger.warn(`${name} again: ending at once`);
      process.exit(1);
    }
    logger.info(`${name}: stopping (once more to end at once)`);
    setTimeout(() => {
      logger.error(`not stopped after ${STOP_DEADLINE_MS / 1_000} s: ending at once`);
      process.exit(1);
    }, STOP_DEADLINE_MS).unref();
    controller.abort(new Error(`stopped by ${name}`));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
}

/** Resolves when the signal has aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

function refuseSplitEmbedded({ eventLog, metricStore }: Config, roles: readonly Role[]): void {
  if (roles.length === ROLES.length) return;
  const [role] = roles;
  const remedy = 'run all roles in one process with `sluice start`, or configure';
  if (role !== 'api' && eventLog.kind === 'embedded') {
    throw new RoleError(
      `\`sluice ${role}\` alone cannot share the embedded event log: ${remedy} eventLog.kind: kafka`,
    );
  }
  if (role !== 'gateway' && metricStore.kind === 'embedded') {
    throw new RoleError(
      `\`sluice ${role}\` alone cannot share the embedded metric store: ${remedy} metricStore.kind: influxdb`,
    );
  }
}
