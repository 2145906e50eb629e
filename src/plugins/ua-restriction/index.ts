/**
 * ua-restriction: lets in, or keeps out, clients by patterns in their User-Agent. Runs in `access`.
 * APISIX: of several User-Agent fields each must pass the allowlist; there one is enough.
 */
import { compileRegex } from '../../expression/regex.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { messageSchema } from '../../plugin/rejection.ts';

interface Config {
  bypass_missing: boolean;
  allowlist?: string[];
  denylist?: string[];
  message: string;
}

interface State {
  readonly bypassMissing: boolean;
  readonly allowed: (userAgent: string) => boolean;
  readonly refusal: Reply;
  readonly missing: Reply;
}

const patterns = { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } };

export const uaRestriction = definePlugin<Config, State>({
  name: 'ua-restriction',
  priority: 2999,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      bypass_missing: { type: 'boolean', default: false, description: 'A request without User-Agent may pass.' },
      allowlist: { ...patterns, description: 'Patterns (PCRE) of which one must be found; all others are refused.' },
      denylist: { ...patterns, description: 'Patterns (PCRE) of which none may be found; all others may pass.' },
      message: messageSchema('Not allowed'),
    },
    oneOf: [{ required: ['allowlist'] }, { required: ['denylist'] }],
  },

  compile(config) {
    const { allowlist, denylist = [], message } = config;
    const compiled = (allowlist ?? denylist).map((pattern) => compileRegex(pattern));
    const found = (userAgent: string): boolean => compiled.some((pattern) => pattern.test(userAgent));
    const body = { message };
    return {
      bypassMissing: config.bypass_missing,
      allowed: allowlist === undefined ? (userAgent) => !found(userAgent) : found,
      refusal: {
        status: 403,
        body,
        reason: `ua-restriction.${allowlist === undefined ? 'denylisted' : 'not_allowlisted'}`,
      },
      missing: { status: 403, body, reason: 'ua-restriction.missing', detail: 'the request has no User-Agent' },
    };
  },

  access(state, exchange) {
    const userAgents = exchange.headers.getAll('user-agent');
    if (userAgents.length === 0) return state.bypassMissing ? undefined : state.missing;
    return userAgents.every((userAgent) => state.allowed(userAgent.trim())) ? undefined : state.refusal;
  },
});
