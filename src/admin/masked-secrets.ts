/**
 * Secrets in the Admin API's answers and in what is written back: shown as a mask unless a key with the role `admin` asks for
 * them, and a mask in a write stands for the secret that is stored, so that what was read can be edited and put back.
 * APISIX: shows them to every key.
 */
import type { PluginRegistry } from '../resources/plugin-check.ts';
import { parseKey } from '../resources/resource-key.ts';
import type { Json, JsonObject } from '../resources/resource.ts';
import { mapSecrets, mask } from '../resources/secret-fields.ts';
import { AdminError } from './admin-error.ts';

/** A reference is where a secret is, not the secret. */
const reference = /^\$(?:env|secret):\/\//i;

/** Changes `value`. `key` as in the store; so in all of these. */
export function maskSecrets(key: string, value: JsonObject, registry: PluginRegistry): void {
  mapSecrets(key, value, registry, 'all', maskText);
  maskUnknown(key, value, registry);
}

function maskText(secret: string): string {
  return secret === '' || reference.test(secret) ? secret : mask;
}

/** Of a plugin that is not enabled (any more) nobody knows where its secrets are: every text may be one. */
function maskUnknown(key: string, value: JsonObject, registry: PluginRegistry): void {
  const resource = parseKey(key);
  if (resource?.kind === 'plugin_metadata') {
    if (registry.get(resource.id) === undefined) Object.assign(value, maskTexts(value));
    return;
  }
  const { plugins } = value;
  if (typeof plugins !== 'object' || plugins === null || Array.isArray(plugins)) return;
  for (const [name, config] of Object.entries(plugins))
    if (registry.get(name) === undefined) plugins[name] = maskTexts(config);
}

function maskTexts(value: Json): Json {
  if (typeof value === 'string') return maskText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(maskTexts);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, maskTexts(item)]));
}

/** Puts what is stored in the place of each mask in `value`. Throws AdminError 400 where nothing is stored there. */
export function restoreSecrets(
  key: string,
  value: JsonObject,
  stored: JsonObject | undefined,
  registry: PluginRegistry,
): void {
  const known = new Map<string, string>();
  if (stored !== undefined)
    mapSecrets(key, structuredClone(stored), registry, 'all', (secret, path) => {
      known.set(path, secret);
      return secret;
    });
  mapSecrets(key, value, registry, 'all', (secret, path) => {
    if (secret !== mask) return secret;
    const kept = known.get(path);
    if (kept !== undefined) return kept;
    throw new AdminError(400, `invalid configuration: ${path} is masked, and nothing is stored there to keep`);
  });
}
