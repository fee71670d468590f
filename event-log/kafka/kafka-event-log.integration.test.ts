import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { describe, inject } from 'vitest';
import { describeEventLogContract } from '../event-log.contract.ts';
import { openKafkaEventLog } from './kafka-event-log.ts';

const brokers = inject('kafkaBrokers');
const logger = pino({ level: process.env.LOG ?? 'silent' });

describe.skipIf(brokers === '')('on a real Kafka', () => {
  describeEventLogContract('Kafka', {
    openStorage: async () => ({
      openLog: (options) =>
        openKafkaEventLog({
          ...options,
          brokers: [brokers],
          clientId: `test-${randomUUID()}`,
          replicationFactor: 1,
          logger,
        }),
      cleanUp: async () => {},
    }),
    skip: { unavailable: 'todo', interrupted: 'todo' },
  });
});
