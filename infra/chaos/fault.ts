export const ENGINES = ['embedded', 'scaled-out'] as const;
export type Engine = (typeof ENGINES)[number];

/** What can be done to a process. */
export type ProcessVerb = 'kill' | 'stop' | 'suspend' | 'join';
/** What can be done to a link, the TCP connections that pass through one proxy. */
export type LinkVerb = 'cut' | 'refuse' | 'slow' | 'stall';

/** What can be done to the disk of the embedded engines. */
export type DiskVerb = 'fill';

interface FaultRuleBase {
  readonly engine: Engine | 'both';
  /** Names of the processes or links that it may hit, one at a time. */
  readonly targets: readonly string[];
  /** How long it lasts, ms: from `least` to `most`. */
  readonly least: number;
  readonly most: number;
  /** How long its target is left alone afterwards, ms. */
  readonly restMs: number;
}

export type FaultRule =
  | (FaultRuleBase & { readonly on: 'process'; readonly verb: ProcessVerb })
  | (FaultRuleBase & { readonly on: 'link'; readonly verb: LinkVerb })
  | (FaultRuleBase & { readonly on: 'disk'; readonly verb: DiskVerb });

export const GATEWAYS = ['gateway-1', 'gateway-2'] as const;
export const PROCESSORS = ['processor-1', 'processor-2', 'processor-3'] as const;
/** A processor that runs only while the fault `join-processor` lasts. */
export const GUEST_PROCESSOR = 'processor-4';
export const ALL_IN_ONE = 'sluice';

/** Longer than the consumers' session timeout (6 s): the processor's partitions move on, and it wakes up as a zombie. */
const ZOMBIE_MS = { least: 8_000, most: 14_000 };

/** Every kind of fault. */
export const FAULT_RULES = {
  'kill-gateway': role('kill', GATEWAYS, 500, 4_000),
  'stop-gateway': role('stop', GATEWAYS, 500, 3_000),
  'suspend-gateway': role('suspend', GATEWAYS, 2_000, 8_000),
  'kill-processor': role('kill', PROCESSORS, 500, 4_000),
  'stop-processor': role('stop', PROCESSORS, 1_000, 6_000),
  'suspend-processor': role('suspend', PROCESSORS, ZOMBIE_MS.least, ZOMBIE_MS.most),
  'join-processor': role('join', [GUEST_PROCESSOR], 6_000, 15_000),
  'kill-kafka': server('kill', 'kafka', 1_000, 8_000),
  'stop-kafka': server('stop', 'kafka', 1_000, 8_000),
  'suspend-kafka': server('suspend', 'kafka', 1_500, 8_000),
  'kill-influxdb': server('kill', 'influxdb', 1_000, 10_000),
  'stop-influxdb': server('stop', 'influxdb', 1_000, 10_000),
  'suspend-influxdb': server('suspend', 'influxdb', 1_500, 8_000),
  'cut-kafka': link('scaled-out', 'cut', 'kafka-link', 0, 0),
  'slow-kafka': link('scaled-out', 'slow', 'kafka-link', 3_000, 10_000),
  'stall-kafka': link('scaled-out', 'stall', 'kafka-link', 2_000, 12_000),
  'cut-influxdb': link('scaled-out', 'cut', 'influxdb-link', 0, 0),
  'slow-influxdb': link('scaled-out', 'slow', 'influxdb-link', 3_000, 10_000),
  'stall-influxdb': link('scaled-out', 'stall', 'influxdb-link', 2_000, 14_000),
  'kill-sluice': allInOne('kill', 500, 4_000),
  'stop-sluice': allInOne('stop', 500, 3_000),
  'suspend-sluice': allInOne('suspend', 2_000, 8_000),
  'fill-disk': {
    on: 'disk',
    engine: 'embedded',
    verb: 'fill',
    targets: ['disk'],
    least: 2_000,
    most: 8_000,
    restMs: 5_000,
  },
  'cut-devices': link('both', 'cut', 'device-link', 0, 0),
  'refuse-devices': link('both', 'refuse', 'device-link', 1_000, 5_000),
  'slow-devices': link('both', 'slow', 'device-link', 3_000, 10_000),
  'stall-devices': link('both', 'stall', 'device-link', 2_000, 8_000),
} satisfies Record<string, FaultRule>;

export type FaultKind = keyof typeof FAULT_RULES;

/** One fault of a plan. Times are ms, `atMs` from the start of the load. */
export interface Fault {
  readonly kind: FaultKind;
  readonly target: string;
  readonly atMs: number;
  readonly durationMs: number;
}

const ALL_KINDS = Object.keys(FAULT_RULES).filter((kind): kind is FaultKind => kind in FAULT_RULES);

/** The kinds of fault that an engine can suffer. */
export function kindsOf(engine: Engine): FaultKind[] {
  return ALL_KINDS.filter((kind) => ['both', engine].includes(FAULT_RULES[kind].engine));
}

export function ruleOf(kind: FaultKind): FaultRule {
  return FAULT_RULES[kind];
}

function role(verb: ProcessVerb, targets: readonly string[], least: number, most: number): FaultRule {
  return { on: 'process', engine: 'scaled-out', verb, targets, least, most, restMs: 5_000 };
}

function server(verb: ProcessVerb, name: string, least: number, most: number): FaultRule {
  return { on: 'process', engine: 'scaled-out', verb, targets: [name], least, most, restMs: 8_000 };
}

function allInOne(verb: ProcessVerb, least: number, most: number): FaultRule {
  return { on: 'process', engine: 'embedded', verb, targets: [ALL_IN_ONE], least, most, restMs: 5_000 };
}

function link(engine: Engine | 'both', verb: LinkVerb, name: string, least: number, most: number): FaultRule {
  return { on: 'link', engine, verb, targets: [name], least, most, restMs: 3_000 };
}
