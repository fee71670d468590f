import { type Engine, type Fault, type FaultKind, kindsOf, ruleOf } from './fault.ts';
import { createRandom, type Random } from './random.ts';

export interface PlanOptions {
  readonly engine: Engine;
  /** A whole number. The same options give the same plan. */
  readonly seed: number;
  /** How long there is load, ms. */
  readonly lengthMs: number;
}

/** Load without faults at the beginning and at the end, ms. */
export const LEAD_MS = 5_000;
export const TAIL_MS = 5_000;
/** One fault begins in each slot, ms. */
const SLOT_MS = 5_500;
/** Where in its slot it may begin. */
const JITTER = 0.6;
/** Faults that last at the same time. */
export const MOST_AT_ONCE = 3;

/**
 * What is done to whom and when: sorted by time, every fault over `TAIL_MS` before the load ends, never two on one target
 * at once. Kinds are dealt like cards: each comes once before any comes again, as far as the length allows.
 */
export function planFaults({ engine, seed, lengthMs }: PlanOptions): Fault[] {
  const random = createRandom(seed);
  const faults: Fault[] = [];
  const endMs = lengthMs - TAIL_MS;
  let deck: FaultKind[] = [];
  for (let slotMs = LEAD_MS; slotMs < endMs; slotMs += SLOT_MS) {
    const atMs = slotMs + Math.floor(random.next() * SLOT_MS * JITTER);
    if (deck.length === 0) deck = random.shuffled(kindsOf(engine));
    const fault = deal(deck, { atMs, endMs, random, planned: faults });
    if (fault === undefined) continue;
    deck.splice(deck.indexOf(fault.kind), 1);
    faults.push(fault);
  }
  return faults;
}

interface Moment {
  readonly atMs: number;
  readonly endMs: number;
  readonly random: Random;
  readonly planned: readonly Fault[];
}

/** The first kind of the deck that can begin at that moment, as a fault. */
function deal(deck: readonly FaultKind[], { atMs, endMs, random, planned }: Moment): Fault | undefined {
  const active = planned.filter((fault) => endOf(fault) > atMs);
  if (active.length >= MOST_AT_ONCE) return undefined;
  for (const kind of deck) {
    const { targets, least, most } = ruleOf(kind);
    if (atMs + least > endMs) continue;
    const free = targets.filter((target) => !isBusy(target, atMs, planned));
    const target = free[random.between(0, free.length - 1)];
    if (target === undefined) continue;
    return { kind, target, atMs, durationMs: random.between(least, Math.min(most, endMs - atMs)) };
  }
  return undefined;
}

function isBusy(target: string, atMs: number, planned: readonly Fault[]): boolean {
  return planned.some((fault) => fault.target === target && endOf(fault) + ruleOf(fault.kind).restMs > atMs);
}

function endOf({ atMs, durationMs }: Fault): number {
  return atMs + durationMs;
}
