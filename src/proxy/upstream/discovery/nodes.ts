/**
 * An upstream's `nodes`, in either form, as a list: `{"host:port": weight}` or `[{host, port, weight, priority}]`.
 * Read when a target is first used and when health checks are set up; never per request.
 */
import { isIP, isIPv6 } from 'node:net';
import type { Upstream } from '../../../resources/upstream.ts';

export interface Node {
  /** Name or address; an IPv6 address is without brackets. */
  readonly host: string;
  readonly port: number;
  /** `host:port`, IPv6 in brackets. */
  readonly label: string;
  readonly weight: number;
  readonly priority: number;
  /** `host` is an address: nothing to resolve. */
  readonly isAddress: boolean;
}

/** Nodes in the order of the configuration, those of weight 0 too. Without a port: 443 for https and grpcs, else 80. */
export function parseNodes({ nodes, scheme }: Upstream): Node[] {
  if (nodes === undefined) return [];
  const defaultPort = scheme === 'https' || scheme === 'grpcs' ? 443 : 80;
  if (Array.isArray(nodes)) {
    return nodes.map(({ host, port, weight, priority }) =>
      node(withoutBrackets(host), port ?? defaultPort, weight, priority ?? 0),
    );
  }
  return Object.entries(nodes).map(([key, weight]) => {
    const { host, port } = splitHostPort(key);
    return node(host, port ?? defaultPort, weight, 0);
  });
}

function node(host: string, port: number, weight: number, priority: number): Node {
  const label = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
  return { host, port, label, weight, priority, isAddress: isIP(host) !== 0 };
}

/** `h:1`, `h`, `[::1]:1`, `[::1]`; an IPv6 address without brackets has no port. */
function splitHostPort(key: string): { host: string; port: number | undefined } {
  const colon = key.lastIndexOf(':');
  if (colon === -1 || colon < key.lastIndexOf(']') || isIPv6(key)) {
    return { host: withoutBrackets(key), port: undefined };
  }
  return { host: withoutBrackets(key.slice(0, colon)), port: Number(key.slice(colon + 1)) };
}

function withoutBrackets(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
