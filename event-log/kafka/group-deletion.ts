import { EventLogUnavailableError } from '../errors.ts';
import { type ControlConnection, messageOf } from './control-connection.ts';
import { pause } from './deadline.ts';

const DEADLINE_MS = 5_000;
const ATTEMPTS = 5;
const FIRST_RETRY_MS = 100;
const GROUP_ID_NOT_FOUND = 69;

/** Makes the brokers forget a group that its last member has left. What prevents it is reported, never thrown. */
export async function deleteGroup(
  control: ControlConnection,
  group: string,
  onError: (error: unknown) => void,
): Promise<void> {
  try {
    await control.run(`deleting the group ${group}`, DEADLINE_MS, async (admin) => {
      // The brokers may need a moment to notice that the group is empty.
      for (let attempt = 1, retryMs = FIRST_RETRY_MS; ; attempt++, retryMs *= 2) {
        try {
          await admin.deleteGroups([group]);
          return;
        } catch (cause) {
          if (isUnknown(cause)) return;
          if (attempt === ATTEMPTS)
            throw new EventLogUnavailableError(`the group ${group} stays: ${messageOf(cause)}`, { cause });
        }
        await pause(retryMs);
      }
    });
  } catch (error) {
    onError(error);
  }
}

function isUnknown(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const groups: unknown = Reflect.get(error, 'groups');
  return Array.isArray(groups) && groups.every((each: unknown) => errorCodeOf(each) === GROUP_ID_NOT_FOUND);
}

function errorCodeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, 'errorCode') : undefined;
}
