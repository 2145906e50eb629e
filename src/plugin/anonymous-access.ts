/** `anonymous_consumer`, the same in every auth plugin: who a request is taken for when it was not authenticated. */
import type { Exchange } from './exchange.ts';
import type { CredentialIndex, PluginLog, Reply } from './plugin.ts';

export interface AnonymousAccess {
  /** Username of `anonymous_consumer`; undefined: none is configured. */
  readonly anonymous: string | undefined;
  readonly credentials: Pick<CredentialIndex, 'consumer'>;
  readonly log: Pick<PluginLog, 'error'>;
}

/**
 * Anonymous access takes the place of a 401, and of nothing else. `missing` makes the refusal where the consumer that is
 * configured does not exist.
 */
export function orAnonymous(
  { anonymous, credentials, log }: AnonymousAccess,
  exchange: Exchange,
  refusal: Reply | undefined,
  missing: () => Reply,
): Reply | undefined {
  if (refusal?.status !== 401 || anonymous === undefined) return refusal;
  const consumer = credentials.consumer(anonymous);
  if (consumer !== undefined) {
    exchange.authenticate(consumer);
    return undefined;
  }
  log.error(`anonymous consumer ${anonymous} does not exist`);
  return missing();
}
