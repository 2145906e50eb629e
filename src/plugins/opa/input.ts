/** What a policy sees as `input`: APISIX's shape, which its policies are written for. */
import type { Exchange } from '../../plugin/exchange.ts';

export interface InputOptions {
  with_route: boolean;
  with_service: boolean;
  with_consumer: boolean;
}

type Values = Record<string, string | true | (string | true)[]>;

/** `sentHeaders`: the only ones, in lower case; undefined: all. */
export function inputOf(
  exchange: Exchange,
  options: InputOptions,
  sentHeaders: ReadonlySet<string> | undefined,
  body: string | undefined,
) {
  const { route, consumer } = exchange;
  return {
    type: 'http',
    request: {
      scheme: exchange.scheme,
      path: exchange.path,
      headers: headersOf(exchange, sentHeaders),
      query: queryOf(exchange.query),
      port: exchange.serverPort,
      method: exchange.method,
      host: exchange.host,
      body,
    },
    var: {
      server_addr: exchange.serverAddress,
      server_port: String(exchange.serverPort),
      remote_addr: exchange.remoteAddress,
      remote_port: String(exchange.remotePort),
      timestamp: Math.floor(Date.now() / 1000),
    },
    route:
      options.with_route && route !== undefined
        ? {
            id: route.id,
            name: route.name,
            uri: route.uri,
            host: route.host,
            labels: route.labels,
            service_id: route.serviceId,
          }
        : undefined,
    service:
      options.with_service && route?.serviceId !== undefined
        ? { id: route.serviceId, name: route.serviceName }
        : undefined,
    consumer:
      options.with_consumer && consumer !== undefined
        ? {
            username: consumer.username,
            group_id: consumer.groupId,
            custom_id: consumer.customId,
            credential_id: consumer.credentialId,
            labels: consumer.labels,
          }
        : undefined,
  };
}

/** One value, or a list of several: policies see every field of a name (CVE-2021-32777). */
function collect(pairs: Iterable<readonly [string, string | true]>): Values {
  const all = Object.create(null) as Values;
  for (const [name, value] of pairs) {
    const before = all[name];
    if (before === undefined) all[name] = value;
    else all[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return all;
}

function headersOf(exchange: Exchange, wanted: ReadonlySet<string> | undefined): Values {
  const pairs: [string, string][] = [];
  for (const [name, value] of exchange.headers.entries()) {
    const lower = name.toLowerCase();
    if (wanted === undefined || wanted.has(lower)) pairs.push([lower, value]);
  }
  return collect(pairs);
}

/** A parameter without `=` is true, as nginx's Lua has it. */
function queryOf(query: string): Values {
  const pairs: [string, string | true][] = [];
  for (const part of query.split('&')) {
    if (part === '') continue;
    for (const [name, value] of new URLSearchParams(part)) pairs.push([name, part.includes('=') ? value : true]);
  }
  return collect(pairs);
}
