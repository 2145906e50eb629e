/**
 * What stands in the place of an item of a file that cannot be used and never could: a route that answers 503 to the requests
 * it was meant for, a global rule that answers 503 to all, an ssl item that asks for client certificates and refuses handshakes for
 * its names. Left out, they would pass to a route or item that protects less, or without the rule. Beside the feed, off the request path.
 */
import { checkResource } from './resources/check.ts';
import type { PluginRegistry } from './resources/plugin-check.ts';
import type { Json, JsonObject, ResourceKind } from './resources/resource.ts';
import { asksForClientCertificates, serverNames } from './resources/ssl.ts';

/** What says which requests a route is for. */
const matchingFields = [
  'uri',
  'uris',
  'host',
  'hosts',
  'methods',
  'remote_addr',
  'remote_addrs',
  'vars',
  'priority',
  'service_id',
];

const pairs = [
  ['uri', 'uris'],
  ['host', 'hosts'],
  ['remote_addr', 'remote_addrs'],
] as const;

/** JSON text for the snapshot; undefined: nothing has to stand there, or nothing says for which requests. */
export function refusingItem(kind: ResourceKind, value: JsonObject, registry: PluginRegistry): string | undefined {
  if (kind === 'global_rules') return '{}';
  if (kind === 'ssls') {
    const names = serverNames(value);
    return asksForClientCertificates(value) && names.length > 0
      ? JSON.stringify({ snis: names, client: {} })
      : undefined;
  }
  if (kind !== 'routes' || value['status'] === 0) return undefined;
  const kept = new Map<string, Json>();
  for (const field of matchingFields) {
    const item = value[field];
    if (item === undefined) continue;
    // A condition that cannot be used is left out: the refusal covers more then, never less.
    const alone = { plugins: {}, ...(field === 'uris' ? {} : { uri: '/' }), [field]: structuredClone(item) };
    if (checkResource('routes', alone, registry) === undefined) kept.set(field, item);
  }
  // Only one of two is allowed; what was meant is in either.
  for (const [one, many] of pairs) {
    const [single, list] = [kept.get(one), kept.get(many)];
    if (single === undefined || !Array.isArray(list)) continue;
    kept.set(many, [...list, single]).delete(one);
  }
  return kept.has('uri') || kept.has('uris') ? JSON.stringify(Object.fromEntries(kept)) : undefined;
}
