/**
 * One resolution of one name, in the order a host does it: hosts file, then DNS (A, and AAAA where there is no A), then
 * the system's own look-up, which also knows search domains and other name services. Keeps nothing.
 */
import { promises as dns } from 'node:dns';
import { readFile } from 'node:fs/promises';

export interface Answer {
  /** At least one, without duplicates. */
  readonly addresses: readonly string[];
  /** Undefined where the source gives none. */
  readonly ttlSeconds: number | undefined;
}

export interface DnsQueryOptions {
  /** DNS servers, `ip` or `ip:port` (`apisix.dns_resolver`). Absent or empty: the system's. */
  readonly servers?: readonly string[];
  readonly hostsFile?: string;
  /** Of one try at one server, in ms; 2 tries. */
  readonly timeoutMs?: number;
}

export interface DnsQuery {
  /** Rejects with the DNS error (`code`) where nothing knows the name. */
  resolve(name: string): Promise<Answer>;
  dispose(): void;
}

export function createDnsQuery({
  servers = [],
  hostsFile = '/etc/hosts',
  timeoutMs = 2000,
}: DnsQueryOptions): DnsQuery {
  const resolver = new dns.Resolver({ timeout: timeoutMs, tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  return {
    async resolve(name) {
      const fixed = await readHosts(hostsFile, name.toLowerCase());
      if (fixed.length > 0) return { addresses: fixed, ttlSeconds: undefined };
      if (isLocalhost(name)) return lookUp(name);
      try {
        return await resolveAddresses(resolver, name);
      } catch (error) {
        // Servers that the settings name are the only ones asked.
        if (servers.length > 0) throw error;
        return lookUp(name);
      }
    },
    dispose() {
      resolver.cancel();
    },
  };
}

/** RFC 6761 §6.3: these never go to a DNS server. */
function isLocalhost(name: string): boolean {
  return /(?:^|\.)localhost\.?$/i.test(name);
}

/** As APISIX's default order: AAAA is asked only where the name has no A. */
async function resolveAddresses(resolver: dns.Resolver, name: string): Promise<Answer> {
  try {
    return toAnswer(await resolver.resolve4(name, { ttl: true }));
  } catch (error) {
    if (!isNoData(error)) throw error;
    return toAnswer(await resolver.resolve6(name, { ttl: true }));
  }
}

function toAnswer(records: readonly { address: string; ttl: number }[]): Answer {
  return {
    addresses: [...new Set(records.map(({ address }) => address))],
    ttlSeconds: records.reduce((least, { ttl }) => Math.min(least, ttl), Infinity),
  };
}

function isNoData(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === dns.NODATA;
}

async function lookUp(name: string): Promise<Answer> {
  const found = await dns.lookup(name, { all: true });
  const v4 = found.filter(({ family }) => family === 4);
  return {
    addresses: [...new Set((v4.length > 0 ? v4 : found).map(({ address }) => address))],
    ttlSeconds: undefined,
  };
}

/** Addresses of `name` in the hosts file: IPv4's, or IPv6's where it has no others; none where the file cannot be read. */
async function readHosts(file: string, name: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return [];
  }
  const found = new Set<string>();
  for (const line of text.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (address !== undefined && names.some((other) => other.toLowerCase() === name)) found.add(address);
  }
  const v4 = [...found].filter((address) => !address.includes(':'));
  return v4.length > 0 ? v4 : [...found];
}
