/** A reply in one line, for plugins that write many. */
import type { Reply } from './plugin.ts';

/** `body`: an object goes out as JSON. `reason`: `plugin.reason_code`, for the operator alone. */
export function reply(
  status: number,
  body?: Reply['body'],
  options: { readonly headers?: Readonly<Record<string, string>>; readonly reason?: string } = {},
): Reply {
  return { status, ...(body === undefined ? {} : { body }), ...options };
}
