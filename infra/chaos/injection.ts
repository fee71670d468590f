import { type DiskVerb, type Fault, type LinkVerb, type ProcessVerb, ruleOf } from './fault.ts';
import type { Impairment } from './proxied-connection.ts';
import type { SmallDisk } from './small-disk.ts';
import type { TcpProxy } from './tcp-proxy.ts';
import type { Victim } from './victim.ts';

/** A fault about to happen. */
export interface Injection {
  begin(signal: AbortSignal): Promise<void>;
  /** Undoes it. Resolves when what was hit is ready again; its connections and work may take longer. */
  end(signal: AbortSignal): Promise<void>;
}

/** What faults can happen to, by name. */
export interface Targets {
  readonly victims: ReadonlyMap<string, Victim>;
  readonly links: ReadonlyMap<string, TcpProxy>;
  /** Undefined where there is none: its faults then do nothing. */
  readonly disk?: SmallDisk | undefined;
}

/** Slow enough that a kilobyte takes seconds. */
const SLOW: Impairment = { kind: 'slow', delayMs: 50, bytesPerSecond: 500 };
/** Faster where one connection carries the work of a whole process. */
const SLOW_SERVER: Impairment = { kind: 'slow', delayMs: 100, bytesPerSecond: 100_000 };

/** Throws where there is no target of that name. */
export function createInjection(fault: Fault, { victims, links, disk }: Targets): Injection {
  const rule = ruleOf(fault.kind);
  if (rule.on === 'process') return PROCESS_INJECTIONS[rule.verb](known(victims, fault.target));
  if (rule.on === 'disk') return DISK_INJECTIONS[rule.verb](disk);
  return LINK_INJECTIONS[rule.verb](
    known(links, fault.target),
    fault.target === 'device-link' ? SLOW : SLOW_SERVER,
  );
}

const PROCESS_INJECTIONS: Readonly<Record<ProcessVerb, (victim: Victim) => Injection>> = {
  kill: (victim) => ({ begin: () => victim.kill(), end: (signal) => victim.start(signal) }),
  stop: (victim) => ({
    begin: async () => void (await victim.stop()),
    end: (signal) => victim.start(signal),
  }),
  suspend: (victim) => ({
    begin: async () => victim.suspend(),
    async end(signal) {
      victim.resume();
      await victim.start(signal);
    },
  }),
  join: (victim) => ({
    // It may take as long as it lasts, or longer where something else is broken.
    begin: async (signal) => void victim.start(signal).catch(() => {}),
    end: async () => void (await victim.stop()),
  }),
};

const LINK_INJECTIONS: Readonly<Record<LinkVerb, (link: TcpProxy, slow: Impairment) => Injection>> = {
  cut: (link) => ({ begin: async () => link.cut(), end: async () => {} }),
  refuse: (link) => impairing(link, { kind: 'refusing' }),
  slow: (link, slow) => impairing(link, slow),
  stall: (link) => impairing(link, { kind: 'stalled' }),
};

const DISK_INJECTIONS: Readonly<Record<DiskVerb, (disk: SmallDisk | undefined) => Injection>> = {
  fill: (disk) => ({ begin: async () => disk?.fill(), end: async () => disk?.free() }),
};

function impairing(link: TcpProxy, impairment: Impairment): Injection {
  return { begin: async () => link.impair(impairment), end: async () => link.heal() };
}

function known<T>(named: ReadonlyMap<string, T>, name: string): T {
  const found = named.get(name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}
