/**
 * tenant-header: tells the upstream whose request it is. The tenant follows from the host that was asked for, so one backend serves
 * many customers' domains. A host of nobody is refused.
 *
 *   "tenant-header": { "tenants": { "shop.example.com": "acme", "*": "public" } }
 */
import { definePlugin, reply } from 'gatewright/plugin';

export default definePlugin({
  name: 'tenant-header',
  priority: 3100, // before authentication

  // A plain JSON Schema. The type of `config` below follows from it: header is a string, tenants a Record<string, string>.
  schema: {
    type: 'object',
    properties: {
      header: { type: 'string', pattern: '^[A-Za-z0-9-]+$', default: 'X-Tenant', description: 'Name of the header.' },
      tenants: {
        type: 'object',
        additionalProperties: { type: 'string', minLength: 1 },
        minProperties: 1,
        description: 'Host → tenant; `*` is every other host.',
      },
    },
    required: ['tenants'],
    additionalProperties: false,
  },

  // Once a change. A request then meets a Map and no configuration.
  compile({ header, tenants }) {
    const byHost = new Map(Object.entries(tenants).map(([host, tenant]) => [host.toLowerCase(), tenant]));
    return { header, byHost, others: byHost.get('*') };
  },

  rewrite({ header, byHost, others }, exchange) {
    const tenant = byHost.get(exchange.host) ?? others;
    if (tenant === undefined) return reply(404, { message: 'unknown host' }, { reason: 'tenant-header.unknown_host' });
    // What the client sent under that name is replaced.
    exchange.headers.set(header, tenant);
    return undefined;
  },
});
