/**
 * ip-restriction: lets in, or keeps out, client addresses and CIDR blocks. Runs in `access` on the client's address
 * after trusted-proxy resolution; a forwarded header from an untrusted peer changes nothing.
 * An address that cannot be read is refused by both kinds of list.
 */
import { isIP } from 'node:net';
import { compileAddressMatcher } from '../../address/cidr.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { messageSchema } from '../../plugin/rejection.ts';

interface Config {
  whitelist?: string[];
  blacklist?: string[];
  message: string;
  response_code: number;
}

interface State {
  readonly allowed: (address: string) => boolean;
  readonly refusal: Reply;
}

const addresses = { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } };

export const ipRestriction = definePlugin<Config, State>({
  name: 'ip-restriction',
  priority: 3000,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      whitelist: { ...addresses, description: 'Addresses and CIDR blocks that may pass; all others are refused.' },
      blacklist: { ...addresses, description: 'Addresses and CIDR blocks that are refused; all others may pass.' },
      message: messageSchema('Your IP address is not allowed'),
      response_code: {
        type: 'integer',
        minimum: 403,
        maximum: 404,
        default: 403,
        description: 'Status of a refusal.',
      },
    },
    oneOf: [{ required: ['whitelist'] }, { required: ['blacklist'] }],
  },

  compile(config) {
    const whitelisted = config.whitelist && compileAddressMatcher(config.whitelist);
    const blacklisted = compileAddressMatcher(config.blacklist ?? []);
    return {
      allowed: whitelisted ?? ((address) => !blacklisted(address) && isIP(address) !== 0),
      refusal: {
        status: config.response_code,
        body: { message: config.message },
        reason: `ip-restriction.${whitelisted === undefined ? 'blacklisted' : 'not_whitelisted'}`,
      },
    };
  },

  access(state, exchange) {
    return state.allowed(exchange.remoteAddress) ? undefined : state.refusal;
  },
});
