import type { Bench } from './bench.contract.ts';

/** The cases of the suite and their sentences. */
export const CASES = {
  partitions: 'a topic has the partitions it was opened with',
  offsets: 'an append resolves with the next offset of its partition',
  content: 'keys and values come back byte for byte, empty ones included',
  order: 'each partition keeps the order of many concurrent appends over several partitions',
  offsetsAt: 'the offsets of a topic tell its first, its end and the first at a log time, exactly',
  offsetsExpired: 'the offsets of a partition whose records have expired are all its end',
  logTime: 'log time never runs backwards within a partition and lies within the append',
  endOffset: 'a batch tells the end offset of its partition',
  durable: 'acknowledged records and their offsets survive a reopening',
  resume: 'a group resumes at its commit and gets its metadata back',
  noCommit: 'a group that never committed starts at the first record',
  start: 'a consumer starts at the offset that its assignment returns',
  startOnce: 'a chosen start counts for one ownership: the next consumer starts at the commit',
  startRebalanced: 'a chosen start is not chosen again when the group has changed',
  startExpired: 'a start at records that have expired is reported, and reading starts behind them',
  startBeyond: 'a start beyond the end is reported, and reading starts at the end',
  ephemeral: 'an ephemeral group leaves no position behind',
  groups: 'two groups read the same records independently',
  sequence: 'the next batch of a partition waits for the handler of the one before',
  rejection: 'a batch whose handler rejected is delivered again, the same, and reported',
  closing: 'closing a consumer aborts the signal, waits for the handler and stores what it returned',
  sharing: 'two consumers of a group share the partitions and one takes over when the other closes',
  lost: 'a commit returned after the partition was lost is not stored',
  checkpoints:
    'the two newest checkpoints of a group and partition come back, newest first, across a reopening',
  checkpointsOfOthers:
    'a checkpoint that another process has saved is seen, and stays when this one saves the next',
  checkpointLarge: 'a checkpoint of 10 MiB comes back whole while appends go on',
  checkpointTooLarge:
    'a checkpoint of more than 32 MiB, or of a partition that cannot be, is refused by name',
  checkpointOnAssignment: 'checkpoints can be loaded while a partition is being assigned, to start there',
  checkpointUnavailable:
    'a checkpoint that cannot be saved or loaded is rejected, retryably, and can be later',
  unknownTopic: 'an unknown topic is refused by name',
  unknownPartition: 'an unknown partition is refused by name',
  tooLarge: 'a record that is too large is refused by name while its neighbours are stored',
  unavailable:
    'an append that cannot be made durable is rejected at its deadline, and the log recovers by itself',
  interrupted: 'an interruption neither loses nor reorders acknowledged records',
  full: 'appends beyond the bound on pending bytes are refused at once and the others are stored',
  ping: 'ping resolves while the log answers and rejects when it does not',
  closed: 'an append after close is refused',
  draining: 'close waits for pending appends, which are durable then',
  closeTwice: 'close is idempotent and closes the consumers',
} as const;

export type EventLogCase = keyof typeof CASES;

/** Registers one case of the suite. */
export type Hold = (key: EventLogCase, body: (bench: Bench) => Promise<void>) => void;
