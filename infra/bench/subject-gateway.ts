import { pino } from 'pino';
import { configSchema } from '../../config/schema.ts';
import { openPipeline } from '../../pipeline.ts';
import { answerParent, subjectOptions, tellParent } from './subject.ts';

/** The gateway role alone: MQTT in, durable log out. */
interface GatewaySubjectOptions {
  readonly config: unknown;
}

const { config } = subjectOptions<GatewaySubjectOptions>();
const pipeline = await openPipeline(
  configSchema.parse(config),
  ['gateway'],
  pino({ level: 'warn' }, pino.destination(2)),
);
tellParent({ kind: 'ready', port: Number(new URL(pipeline.mqttUrl ?? '').port) });
answerParent(() => pipeline.close());
