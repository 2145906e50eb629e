/**
 * referer-restriction: lets in, or keeps out, requests by the host of their Referer. Runs in `access`.
 * Any client can send any Referer: this keeps other sites from embedding resources, and proves nothing.
 * APISIX: host names are compared without case, and a Referer whose authority holds anything but host and port is malformed.
 */
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { messageSchema } from '../../plugin/rejection.ts';

interface Config {
  bypass_missing: boolean;
  whitelist?: string[];
  blacklist?: string[];
  message: string;
}

interface State {
  readonly bypassMissing: boolean;
  readonly allowed: (host: string) => boolean;
  readonly refusal: Reply;
  readonly missing: Reply;
}

const hosts = { type: 'array', minItems: 1, items: { type: 'string', pattern: '^\\*?[0-9a-zA-Z-._\\[\\]:]+$' } };
/** Scheme is optional, as a reference may start at its authority (RFC 3986 §4.2). */
const authority = /^(?:https?:)?\/\/([\w.-]+|\[[\da-f:.]+\])(?::\d+)?(?:[/?#]|$)/i;

export const refererRestriction = definePlugin<Config, State>({
  name: 'referer-restriction',
  priority: 2990,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      bypass_missing: {
        type: 'boolean',
        default: false,
        description: 'A request without Referer, or with a malformed one, may pass.',
      },
      whitelist: {
        ...hosts,
        description: 'Hosts that may refer; `*.example.com` is any name below it. Others are refused.',
      },
      blacklist: { ...hosts, description: 'Hosts that may not refer; all others may.' },
      message: messageSchema('Your referer host is not allowed'),
    },
    oneOf: [{ required: ['whitelist'] }, { required: ['blacklist'] }],
  },

  compile(config) {
    const listed = compileHosts(config.whitelist ?? config.blacklist ?? []);
    const whitelisting = config.whitelist !== undefined;
    const body = { message: config.message };
    return {
      bypassMissing: config.bypass_missing,
      allowed: whitelisting ? listed : (host) => !listed(host),
      refusal: {
        status: 403,
        body,
        reason: `referer-restriction.${whitelisting ? 'not_whitelisted' : 'blacklisted'}`,
      },
      missing: { status: 403, body, reason: 'referer-restriction.missing', detail: 'no Referer, or a malformed one' },
    };
  },

  access(state, exchange) {
    const host = authority.exec(exchange.headers.get('referer') ?? '')?.[1];
    if (host === undefined) return state.bypassMissing ? undefined : state.missing;
    return state.allowed(host.toLowerCase()) ? undefined : state.refusal;
  },
});

function compileHosts(list: readonly string[]): (host: string) => boolean {
  const lower = list.map((host) => host.toLowerCase());
  const exact = new Set(lower.filter((host) => !host.startsWith('*')));
  const suffixes = lower.filter((host) => host.startsWith('*')).map((host) => host.slice(1));
  return (host) => exact.has(host) || suffixes.some((suffix) => host.endsWith(suffix));
}
