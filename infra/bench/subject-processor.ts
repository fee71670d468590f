import { pino } from 'pino';
import { configSchema } from '../../config/schema.ts';
import { openPipeline } from '../../pipeline.ts';
import { answerParent, subjectOptions, tellParent } from './subject.ts';

/** The processor role alone: a log that is full already, into the store. */
interface ProcessorSubjectOptions {
  readonly config: unknown;
}

const { config } = subjectOptions<ProcessorSubjectOptions>();
const afterImports = process.cpuUsage();
answerParent(async () => {
  await (await pipeline).close();
}, afterImports);
const pipeline = openPipeline(
  configSchema.parse(config),
  ['processor'],
  pino({ level: 'warn' }, pino.destination(2)),
);
tellParent({ kind: 'ready', port: Number(new URL((await pipeline).httpUrl).port) });
