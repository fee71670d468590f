import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { Config } from './config/schema.ts';
import { topicNames } from './event-log/topics.ts';
import { compileTopicTemplate } from './gateway/device-topic.ts';
import {
  createQuarantineCommand as createCommand,
  type OpenQuarantine,
  type QuarantineCommandDependencies,
} from './gateway/quarantine/quarantine-command.ts';
import type { RedriveRules } from './gateway/quarantine/redrive-rules.ts';
import { createLogger } from './logging.ts';
import { openEventLog } from './pipeline.ts';
import { readLogRange } from './processors/log-range.ts';
import { DurationError, parseDuration } from './query/duration.ts';
import { formatTable, type TableStyle } from './query/table.ts';
import { stopSignal } from './serve.ts';

export interface QuarantineDependencies extends TableStyle {
  load(): Config;
  write(text: string): void;
  /** A person at a terminal is asked unless given. */
  readonly confirm?: QuarantineCommandDependencies['confirm'] | undefined;
  /** Ends a command early. SIGINT and SIGTERM do unless given. */
  readonly stop?: AbortSignal;
}

/** `sluice quarantine`, over the event log that the configuration names. */
export function createQuarantineCommand(dependencies: QuarantineDependencies): Command {
  const { load, write } = dependencies;
  const confirm = 'confirm' in dependencies ? dependencies.confirm : terminalConfirmation();
  return createCommand({
    write,
    confirm,
    withQuarantine: (action) => withQuarantine(load(), dependencies.stop, action),
    formatTable: (headings, rows) =>
      formatTable(
        headings.map((heading) => ({ heading, align: 'left' })),
        rows,
        dependencies,
      ),
    parseDuration: tryDuration,
  });
}

async function withQuarantine<T>(
  config: Config,
  stop: AbortSignal | undefined,
  action: (open: OpenQuarantine) => Promise<T>,
): Promise<T> {
  const logger = createLogger({ ...config.logging, level: 'warn' }, process.stderr.isTTY);
  const signal = stop ?? stopSignal(logger);
  const log = await openEventLog(config, logger, signal);
  try {
    const { quarantine, telemetry } = topicNames(config.eventLog.topicPrefix);
    const onFailure = (error: Error) => logger.warn({ err: error }, 'reading failed and goes on');
    const topic = { log, name: quarantine, readRanges: readLogRange, onFailure, signal };
    return await action({ topic, telemetryTopic: telemetry, rules: rulesOf(config) });
  } finally {
    await log.close();
  }
}

function rulesOf({ gateway, processor }: Config): RedriveRules {
  const { topicTemplate, maxPayloadBytes, maxMetrics } = gateway;
  return {
    deviceIdOf: compileTopicTemplate(topicTemplate),
    limits: { maxPayloadBytes, maxMetrics },
    maxAgeMs: processor.maxAge,
    maxAheadMs: processor.maxAhead,
  };
}

/** Asks on standard error and takes y or yes for a yes. Undefined unless somebody sits at a terminal. */
function terminalConfirmation(): QuarantineCommandDependencies['confirm'] {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  return async (question) => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    const left = new AbortController();
    terminal.once('SIGINT', () => left.abort()).once('close', () => left.abort());
    try {
      const answer = await terminal.question(`${question} [y/N] `, { signal: left.signal });
      return /^y(es)?$/i.test(answer.trim());
    } catch (error) {
      if (left.signal.aborted) return false;
      throw error;
    } finally {
      terminal.close();
    }
  };
}

function tryDuration(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch (error) {
    if (error instanceof DurationError) return undefined;
    throw error;
  }
}
