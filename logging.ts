import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from './config/schema.ts';

/** The process's logger, on standard error: lines for people on a terminal, JSON for machines elsewhere. */
export function createLogger({ level, format }: Config['logging'], isTerminal: boolean): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const isText = format === 'text' || (format === 'auto' && isTerminal);
  if (!isText) return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino(
    options,
    pretty({
      destination: 2,
      sync: true,
      colorize: isTerminal && process.env.NO_COLOR === undefined,
      translateTime: 'HH:MM:ss',
      ignore: 'pid,hostname',
      singleLine: true,
    }),
  );
}
