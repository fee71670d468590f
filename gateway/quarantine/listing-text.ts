import type { QuarantineEvent } from '../../event-log/quarantine-event.ts';
import { formatEventId } from './event-id.ts';
import type { ListedEvent, Listing } from './quarantine-listing.ts';
import { formatOrigin } from './quarantine-text.ts';

export interface ListingStyle {
  /** Lines of aligned columns under their headings. Makes cells safe to print. */
  formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string;
}

const HEADINGS = ['ID', 'STATE', 'TIME (UTC)', 'REASON', 'DEVICE', 'ORIGIN', 'DETAIL'];

/** A table for people, and what it leaves out. */
export function formatListing(
  { events, matching, unreadable }: Listing,
  { formatTable }: ListingStyle,
): string {
  const rows = events.map(({ id, redriven, logTime, event, deviceId }) => [
    formatEventId(id),
    redriven === undefined ? 'open' : 'redriven',
    new Date(logTime).toISOString(),
    event.reason,
    deviceId,
    formatOrigin(event),
    event.detail,
  ]);
  const listed = rows.length === 0 ? 'nothing was quarantined\n' : formatTable(HEADINGS, rows);
  const more = matching > events.length ? `the newest ${events.length} of ${matching}\n` : '';
  const foreign = unreadable > 0 ? `${unreadable} records cannot be read by this version\n` : '';
  return `${listed}${more}${foreign}`;
}

/** The same for machines: times in ms since the epoch, offsets as texts. */
export function plainListing({ events, matching, unreadable }: Listing) {
  return { events: events.map(plainEvent), matching, unreadable };
}

function plainEvent({ id, logTime, deviceId, event, redriven }: ListedEvent) {
  const { reason, detail, received } = event;
  return {
    id: formatEventId(id),
    state: redriven === undefined ? 'open' : 'redriven',
    time: logTime,
    received,
    reason,
    deviceId,
    origin: plainOrigin(event),
    detail,
  };
}

function plainOrigin({ origin }: QuarantineEvent) {
  return origin.kind === 'record' ? { ...origin, offset: origin.offset.toString() } : origin;
}
