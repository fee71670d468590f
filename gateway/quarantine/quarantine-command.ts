import { Command, InvalidArgumentError, Option } from 'commander';
import { QUARANTINE_REASONS, type QuarantineReason } from '../../event-log/quarantine-event.ts';
import { EVENT_ID_EXPECTED, type EventId, parseEventId } from './event-id.ts';
import { formatListing, type ListingStyle, plainListing } from './listing-text.ts';
import { findQuarantined, listQuarantine } from './quarantine-listing.ts';
import { formatEvent, formatReasons, formatReport, total } from './quarantine-text.ts';
import type { QuarantineTopic } from './quarantine-topic.ts';
import { Redrive, type RedriveSelection } from './redrive.ts';
import type { RedriveRules } from './redrive-rules.ts';

/** An event log that was opened for one command, and what is needed of the configuration. */
export interface OpenQuarantine {
  readonly topic: QuarantineTopic;
  readonly telemetryTopic: string;
  readonly rules: RedriveRules;
}

export interface QuarantineCommandDependencies extends ListingStyle {
  /** Opens the configured event log for an action and closes it afterwards. */
  withQuarantine<T>(action: (open: OpenQuarantine) => Promise<T>): Promise<T>;
  write(text: string): void;
  /** Asks a question that is answered with yes or no; undefined where nobody can be asked. */
  readonly confirm: ((question: string) => Promise<boolean>) | undefined;
  /** Reads a duration, ms. Undefined when it is none. */
  parseDuration(text: string): number | undefined;
}

/** Exit code of a redrive that had to leave something. */
const EXIT_STILL_UNUSABLE = 2;
const DAY_MS = 86_400_000;
const OWNER_HELP = `
With the embedded event log the pipeline must be stopped: its folder has one owner at a time.`;

const REDRIVE_HELP = `
A payload is decoded again by the present rules (topic template, limits, maxAge, maxAhead). What is usable goes to the
telemetry topic, and its event counts as redriven; what is not stays as it is. A message that the processor refuses again
comes back as another event.

--all and --reason leave out what was redriven before. Named by its id, an event is redriven again; the processor
recognises messages with "seq" or "ts" and counts them once. Messages with neither would count again: they need --force.

Exit codes:
  0  everything asked for is redriven
  1  the command line was refused, or the event log failed
  2  some payloads still cannot be used
${OWNER_HELP}`;

/** `sluice quarantine list | show | redrive`. */
export function createQuarantineCommand(dependencies: QuarantineCommandDependencies): Command {
  return new Command('quarantine')
    .description('look at payloads that could not be used, and send them through again')
    .addHelpText('after', OWNER_HELP)
    .addCommand(createListCommand(dependencies))
    .addCommand(createShowCommand(dependencies))
    .addCommand(createRedriveCommand(dependencies));
}

interface ListOptions {
  readonly last?: number;
  readonly reason?: QuarantineReason;
  readonly device?: string;
  readonly limit: number;
  readonly format: string;
}

function createListCommand(dependencies: QuarantineCommandDependencies): Command {
  return new Command('list')
    .description('list quarantined events, the newest last')
    .option('--last <duration>', 'how far back, such as 6h (default: 1d)', (text) =>
      parseLast(dependencies, text),
    )
    .addOption(reasonOption())
    .option('--device <id>', 'events of this device alone')
    .option('--limit <n>', 'most events to list, the newest', parseCount, 100)
    .addOption(new Option('--format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .addHelpText('after', OWNER_HELP)
    .action(async ({ last = DAY_MS, reason, device, limit, format }: ListOptions) => {
      const filter = {
        since: Date.now() - last,
        limit,
        ...(reason && { reason }),
        ...(device && { deviceId: device }),
      };
      const listing = await dependencies.withQuarantine(({ topic }) => listQuarantine(topic, filter));
      const isJson = format === 'json';
      dependencies.write(
        isJson ? `${JSON.stringify(plainListing(listing))}\n` : formatListing(listing, dependencies),
      );
    });
}

function createShowCommand(dependencies: QuarantineCommandDependencies): Command {
  return new Command('show')
    .description('print everything about one quarantined event')
    .argument('<id>', EVENT_ID_EXPECTED, parseId)
    .addHelpText('after', OWNER_HELP)
    .action(async (id: EventId) => {
      const event = await dependencies.withQuarantine(({ topic }) => findQuarantined(topic, id));
      dependencies.write(formatEvent(event));
    });
}

interface RedriveFlags {
  readonly all?: boolean;
  readonly reason?: QuarantineReason;
  readonly force?: boolean;
  readonly yes?: boolean;
}

function createRedriveCommand(dependencies: QuarantineCommandDependencies): Command {
  const command = new Command('redrive');
  return command
    .description('send quarantined payloads through again')
    .argument('[ids...]', EVENT_ID_EXPECTED, (text: string, before: readonly EventId[] = []) => [
      ...before,
      parseId(text),
    ])
    .option('--all', 'every event that is open')
    .addOption(reasonOption())
    .option('--force', 'redrive again what was redriven before, even if it then counts twice')
    .option('--yes', 'do not ask')
    .addHelpText('after', REDRIVE_HELP)
    .action(async (ids: readonly EventId[] = [], flags: RedriveFlags) => {
      const selection = selectionOf(command, ids, flags);
      if (flags.yes !== true && dependencies.confirm === undefined) {
        command.error('error: nobody can be asked here; give --yes to redrive without being asked');
      }
      const isComplete = await redrive(dependencies, selection, flags);
      if (isComplete) return;
      command.error('error: not everything was redriven', {
        exitCode: EXIT_STILL_UNUSABLE,
        code: 'STILL_UNUSABLE',
      });
    });
}

function selectionOf(
  command: Command,
  ids: readonly EventId[],
  { all, reason }: RedriveFlags,
): RedriveSelection {
  const ways = [ids.length > 0, all === true, reason !== undefined].filter(Boolean).length;
  if (ways !== 1) command.error('error: name events by their ids, or give --all, or --reason');
  if (ids.length > 0) return { kind: 'ids', ids };
  return { kind: 'all', ...(reason && { reason }) };
}

/** Returns false when something still cannot be used. */
function redrive(
  { withQuarantine, write, confirm }: QuarantineCommandDependencies,
  selection: RedriveSelection,
  { force = false, yes = false }: RedriveFlags,
): Promise<boolean> {
  return withQuarantine(async (open) => {
    const run = new Redrive({ ...open, selection, isForced: force, clock: Date.now });
    await run.survey();
    if (!yes && !(await isConfirmed(run, confirm))) {
      write('nothing was redriven\n');
      return true;
    }
    try {
      await run.run();
    } finally {
      write(formatReport(run.report));
    }
    return run.report.unusable.size === 0;
  });
}

async function isConfirmed(
  run: Redrive,
  confirm: QuarantineCommandDependencies['confirm'],
): Promise<boolean> {
  const found = await run.count();
  const count = total(found);
  // There is nothing to ask about, and the report says so.
  if (count === 0) return true;
  const question = `redrive ${count} event${count === 1 ? '' : 's'} (${formatReasons(found)})?`;
  return (await confirm?.(question)) ?? false;
}

function reasonOption(): Option {
  return new Option('--reason <reason>', 'events with this reason').choices(QUARANTINE_REASONS);
}

function parseId(text: string): EventId {
  const id = parseEventId(text);
  if (id === undefined) throw new InvalidArgumentError(`expected ${EVENT_ID_EXPECTED}`);
  return id;
}

function parseLast({ parseDuration }: QuarantineCommandDependencies, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration such as 30m, 12h or 7d');
  return ms;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1 || count > 100_000)
    throw new InvalidArgumentError('expected a whole number from 1 to 100000');
  return count;
}
