import { afterEach, beforeEach, describe, test } from 'vitest';
import { appendCases, refusalCases } from './contract/append-cases.contract.ts';
import { Bench } from './contract/bench.contract.ts';
import { CASES, type EventLogCase } from './contract/cases.contract.ts';
import { checkpointCases } from './contract/checkpoint-cases.contract.ts';
import { deliveryCases, positionCases } from './contract/consume-cases.contract.ts';
import { faultCases } from './contract/fault-cases.contract.ts';
import { groupCases } from './contract/group-cases.contract.ts';
import { lifeCycleCases } from './contract/life-cycle-cases.contract.ts';
import { offsetCases, startCases } from './contract/start-cases.contract.ts';
import type { EventLogStorage } from './contract/storage.contract.ts';

export type { EventLogCase } from './contract/cases.contract.ts';
export type { EventLogStorage, OpenLogOptions } from './contract/storage.contract.ts';

export interface EventLogContractOptions {
  openStorage(): Promise<EventLogStorage>;
  /** Cases that cannot hold for the adapter, with the reason. */
  readonly skip?: Partial<Record<EventLogCase, string>>;
}

const TEST_TIMEOUT_MS = 90_000;

/** Holds an adapter to the promises of `EventLog`. Call it at the top level of a test file. */
export function describeEventLogContract(name: string, options: EventLogContractOptions): void {
  describe(`event log contract: ${name}`, () => {
    let bench: Bench;
    beforeEach(async () => {
      bench = new Bench(await options.openStorage());
    });
    afterEach(() => bench.cleanUp(), TEST_TIMEOUT_MS);

    const hold = (key: EventLogCase, body: (bench: Bench) => Promise<void>) => {
      const reason = options.skip?.[key];
      if (reason === undefined) test(CASES[key], () => body(bench), TEST_TIMEOUT_MS);
      else test.skip(`${CASES[key]} (skipped: ${reason})`);
    };
    appendCases(hold);
    refusalCases(hold);
    positionCases(hold);
    offsetCases(hold);
    startCases(hold);
    deliveryCases(hold);
    groupCases(hold);
    faultCases(hold);
    checkpointCases(hold);
    lifeCycleCases(hold);
  });
}
