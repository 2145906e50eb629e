/**
 * real-ip: takes the client's address from a header or another variable, for every later rule and log. Runs in `rewrite`,
 * before all others that look at an address; routes were matched by the address from before.
 * With `trusted_addresses` only those peers are believed. Without it X-Forwarded-For and the like count only from peers that
 * the settings' `apisix.trusted_addresses` name: a client's own claim changes nothing.
 */
import { isIP } from 'node:net';
import { compileAddressMatcher } from '../../address/cidr.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type PluginLog } from '../../plugin/plugin.ts';
import { compileVariable } from '../../plugin/variables.ts';

interface Config {
  source: string;
  trusted_addresses?: string[];
  recursive: boolean;
}

interface State {
  readonly trusted: ((address: string) => boolean) | undefined;
  readonly read: (exchange: Exchange) => string | undefined;
  readonly recursive: boolean;
  readonly log: PluginLog;
}

export const realIp = definePlugin<Config, State>({
  name: 'real-ip',
  priority: 23000,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      source: {
        type: 'string',
        minLength: 1,
        description:
          'Variable, without `$`, that holds the address, with or without a port: `http_x_forwarded_for`, `arg_realip`, …',
      },
      trusted_addresses: {
        type: 'array',
        minItems: 1,
        items: { type: 'string', minLength: 1 },
        description: 'Addresses and CIDR blocks of peers that may say who the client is.',
      },
      recursive: {
        type: 'boolean',
        default: false,
        description: 'Of a list, the last address that is not trusted itself; else the last one.',
      },
    },
    required: ['source'],
  },

  compile(config, deps) {
    const { source, trusted_addresses: trusted } = config;
    // Fields that the gateway drops from untrusted peers can be read by one who knows the peer.
    const field = /^http_(x_forwarded_for|x_real_ip)$/i.exec(source)?.[1]?.replaceAll('_', '-');
    return {
      trusted: trusted && compileAddressMatcher(trusted),
      read:
        field !== undefined && trusted !== undefined
          ? (exchange) => exchange.forwarded(field)
          : compileVariable(source),
      recursive: config.recursive && trusted !== undefined,
      log: deps.log,
    };
  },

  rewrite(state, exchange) {
    const { trusted, log } = state;
    if (trusted?.(exchange.remoteAddress) === false) return;
    const claimed = state.read(exchange);
    if (claimed === undefined) {
      log.warn('missing real address');
      return;
    }
    const found = lastAddress(claimed, state.recursive ? trusted : undefined);
    if (found === undefined) log.warn('bad address', { address: claimed.slice(0, 128) });
    else exchange.setClientAddress(found.address, found.port);
  },
});

interface Address {
  readonly address: string;
  readonly port: number | undefined;
}

/** The last of a comma-separated list; with `skip`, the last that it does not know, or else the first. */
function lastAddress(list: string, skip: ((address: string) => boolean) | undefined): Address | undefined {
  const items = list.split(',');
  let found: Address | undefined;
  for (let i = items.length - 1; i >= 0; i--) {
    const candidate = parseEndpoint((items[i] ?? '').trim());
    if (candidate === undefined) return found;
    found = candidate;
    if (skip?.(candidate.address) !== true) return found;
  }
  return found;
}

/** `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`; an IPv6 address needs brackets to have a port. */
function parseEndpoint(text: string): Address | undefined {
  const [, v6, v4, digits] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = v6 ?? v4 ?? text;
  const family = isIP(address);
  const port = digits === undefined ? undefined : Number(digits);
  if (family === 0 || address.includes('%') || (v6 !== undefined && family !== 6)) return undefined;
  return port === undefined || (port >= 1 && port <= 65535) ? { address, port } : undefined;
}
