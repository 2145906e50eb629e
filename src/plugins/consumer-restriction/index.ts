/**
 * consumer-restriction: who may use a route or service, by consumer name, consumer group, service or route. Runs in
 * `access`, when the consumer is known. Precedence: blacklist, then whitelist, then allowed_by_methods.
 * APISIX: with a whitelist, allowed_by_methods lets in only the users it names; APISIX then lets in everyone it does
 * not name, which undoes the whitelist.
 */
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';

const types = ['consumer_name', 'consumer_group_id', 'service_id', 'route_id'] as const;
type RestrictionType = (typeof types)[number];

interface Config {
  type: RestrictionType;
  blacklist?: string[];
  whitelist?: string[];
  allowed_by_methods?: { user?: string; methods?: string[] }[];
  rejected_code: number;
  rejected_msg?: string;
}

interface State {
  readonly value: (exchange: Exchange) => string | undefined;
  readonly blacklist: ReadonlySet<string> | undefined;
  readonly whitelist: ReadonlySet<string> | undefined;
  /** User → methods; the first entry of a user counts. */
  readonly methods: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  readonly missing: Reply;
  readonly blacklisted: Reply;
  readonly notWhitelisted: Reply;
  readonly methodRefused: Reply;
}

const valueOf: Readonly<Record<RestrictionType, (exchange: Exchange) => string | undefined>> = {
  consumer_name: (exchange) => exchange.consumer?.username,
  consumer_group_id: (exchange) => exchange.consumer?.groupId,
  service_id: (exchange) => exchange.route?.serviceId,
  route_id: (exchange) => exchange.route?.id,
};

const names = { type: 'array', minItems: 1, items: { type: 'string' } };

export const consumerRestriction = definePlugin<Config, State>({
  name: 'consumer-restriction',
  priority: 2400,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      type: {
        type: 'string',
        enum: [...types],
        default: 'consumer_name',
        description: 'What the lists hold: user names, consumer group ids, service ids or route ids.',
      },
      blacklist: { ...names, description: 'Refused; goes before the whitelist.' },
      whitelist: { ...names, description: 'The only ones let in; goes before allowed_by_methods.' },
      allowed_by_methods: {
        type: 'array',
        description: 'Methods that single users may use.',
        items: {
          type: 'object',
          properties: {
            user: { type: 'string', description: 'User name of the consumer.' },
            methods: {
              type: 'array',
              minItems: 1,
              description: 'Methods this user may use.',
              items: {
                type: 'string',
                enum: ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'PURGE'],
              },
            },
          },
        },
      },
      rejected_code: { type: 'integer', minimum: 200, default: 403, description: 'Status of a refusal.' },
      rejected_msg: { type: 'string', description: 'Message of a refusal; default: `The TYPE is forbidden.`' },
    },
    anyOf: [{ required: ['blacklist'] }, { required: ['whitelist'] }, { required: ['allowed_by_methods'] }],
  },

  compile(config) {
    const methods = new Map<string, ReadonlySet<string>>();
    for (const entry of config.allowed_by_methods ?? []) {
      if (entry.user !== undefined && !methods.has(entry.user)) methods.set(entry.user, new Set(entry.methods));
    }
    const body = { message: config.rejected_msg ?? `The ${config.type} is forbidden.` };
    const reject = (reason: string): Reply => ({
      status: config.rejected_code,
      body,
      reason: `consumer-restriction.${reason}`,
    });
    return {
      value: valueOf[config.type],
      blacklist: config.blacklist && new Set(config.blacklist),
      whitelist: config.whitelist && new Set(config.whitelist),
      methods: methods.size === 0 ? undefined : methods,
      missing: {
        status: 401,
        body: { message: `The request is rejected, please check the ${config.type} for this request` },
        reason: 'consumer-restriction.missing',
        detail: `the request has no ${config.type}`,
      },
      blacklisted: reject('blacklisted'),
      notWhitelisted: reject('not_whitelisted'),
      methodRefused: reject('method_refused'),
    };
  },

  access(state, exchange) {
    const value = state.value(exchange);
    if (value === undefined) return state.missing;
    if (state.blacklist?.has(value) === true) return state.blacklisted;
    if (state.whitelist?.has(value) === true) return undefined;
    const methods = state.methods?.get(value);
    if (methods === undefined) return state.whitelist === undefined ? undefined : state.notWhitelisted;
    return methods.has(exchange.method) ? undefined : state.methodRefused;
  },
});
