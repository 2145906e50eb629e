/**
 * Who an issuer's token stands for: a consumer by one of its claims, a consumer group by another, or nobody the gateway
 * knows, and that is enough where the configuration asks for no more.
 */
import type { AuthenticatedConsumer } from '../../plugin/exchange.ts';
import type { CredentialIndex } from '../../plugin/plugin.ts';
import { claim, textsOf, type JsonObject } from './claims.ts';

export interface IdentityConfig {
  consumer_claim?: string;
  group_claim?: string;
  groups?: Record<string, string>;
}

/** A consumer; undefined: none is needed; a string: the reason why the token stands for nobody here. */
export type IdentityRule = (
  payload: JsonObject,
) => AuthenticatedConsumer | undefined | 'unknown_consumer' | 'unknown_group';

export function compileIdentity(config: IdentityConfig, credentials: CredentialIndex): IdentityRule {
  const { consumer_claim: consumerClaim, group_claim: groupClaim } = config;
  const groups = Object.entries(config.groups ?? {}).map(([value, id]) => [value, groupMember(id)] as const);
  return (payload) => {
    if (consumerClaim !== undefined) {
      const name = claim(payload, consumerClaim);
      const consumer = typeof name === 'string' ? credentials.consumer(name) : undefined;
      if (consumer !== undefined) return consumer;
      if (groupClaim === undefined) return 'unknown_consumer';
    }
    if (groupClaim === undefined) return undefined;
    const values = textsOf(claim(payload, groupClaim));
    const group = groups.find(([value]) => values.includes(value));
    if (group === undefined) return 'unknown_group';
    const subject = claim(payload, 'sub');
    return typeof subject === 'string' && /^[!-~]+$/.test(subject) ? { ...group[1], customId: subject } : group[1];
  };
}

/**
 * A member of a group who is no consumer of the gateway. The name cannot be a consumer's (those have no colon), so that an
 * issuer's user never meets a rule that names a consumer; all members share one, so that they share the group's pipeline.
 */
function groupMember(groupId: string): AuthenticatedConsumer {
  const username = `group:${groupId}`;
  return {
    username,
    groupId,
    customId: undefined,
    credentialId: undefined,
    labels: {},
    resource: { username, group_id: groupId },
  };
}
