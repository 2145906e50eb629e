/**
 * Which resources a resource points at, and what APISIX says when the target is missing or still in use.
 * Pure: the caller knows which keys exist.
 */
import type { Json, JsonObject, ResourceKind } from './resource.ts';
import { parseKey, type ResourceKey } from './resource-key.ts';
import { kindNames } from './schemas.ts';

export interface Reference {
  /** Store key of the resource that is pointed at. */
  readonly target: string;
  /** `field`: a field of the resource; `plugin`: the configuration of one of its plugins. */
  readonly via: 'field' | 'plugin';
}

const fields: readonly {
  readonly field: string;
  readonly target: ResourceKind;
  readonly from: readonly ResourceKind[];
}[] = [
  { field: 'upstream_id', target: 'upstreams', from: ['routes', 'services'] },
  { field: 'service_id', target: 'services', from: ['routes'] },
  { field: 'plugin_config_id', target: 'plugin_configs', from: ['routes'] },
  { field: 'group_id', target: 'consumer_groups', from: ['consumers'] },
];

/** `value`: a resource as stored or about to be. Each target once. */
export function referencesOf(kind: ResourceKind, value: JsonObject): Reference[] {
  const found = new Map<string, Reference>();
  const add = (target: ResourceKind, id: Json | undefined, via: Reference['via']): void => {
    if (typeof id !== 'string' && typeof id !== 'number') return;
    const key = `${target}/${String(id)}`;
    if (!found.has(key)) found.set(key, { target: key, via });
  };
  for (const { field, target, from } of fields) if (from.includes(kind)) add(target, value[field], 'field');
  const upstream = kind === 'upstreams' ? value : object(value['upstream']);
  add('ssls', object(upstream?.['tls'])?.['client_cert_id'], 'field');

  const plugins = object(value['plugins']);
  add('protos', object(plugins?.['grpc-transcode'])?.['proto_id'], 'plugin');
  for (const rule of list(object(plugins?.['traffic-split'])?.['rules'])) {
    for (const weighted of list(object(rule)?.['weighted_upstreams'])) {
      add('upstreams', object(weighted)?.['upstream_id'], 'plugin');
    }
  }
  return [...found.values()];
}

/** The first reference of a field whose target does not exist, in APISIX's words. */
export async function checkReferences(
  kind: ResourceKind,
  value: JsonObject,
  lookup: (key: string) => boolean | Promise<boolean>,
): Promise<string | undefined> {
  for (const { target, via } of referencesOf(kind, value)) {
    if (via === 'plugin' || (await lookup(target))) continue;
    const key = parseKey(target);
    // An id that no key can have names nothing either.
    const name = key ? kindNames[key.kind] : (target.split('/')[0] ?? '').replace(/s$/, '');
    const id = target.slice(target.indexOf('/') + 1);
    return `failed to fetch ${name} info by ${name} id [${id}], response code: 404`;
  }
  return undefined;
}

/** Why `target` may not be deleted while `source` points at it. */
export function stillInUse(target: ResourceKey, source: ResourceKey, via: Reference['via']): string {
  const directly = target.kind === 'services' ? ' directly' : '';
  const where = via === 'plugin' && target.kind === 'upstreams' ? 'plugin in ' : '';
  const user = kindNames[source.kind];
  return `can not delete this ${kindNames[target.kind]}${directly}, ${where}${user} [${source.id}] is still using it now`;
}

function object(value: Json | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}
