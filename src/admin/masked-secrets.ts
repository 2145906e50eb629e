/**
 * Secrets in the Admin API's answers and in what is written back: shown as a mask unless a key with the role `admin` asks for
 * them, and a mask in a write stands for the secret that is stored, so that what was read can be edited and put back.
 * APISIX: shows them to every key.
 */
import type { PluginRegistry } from '../resources/plugin-check.ts';
import type { JsonObject } from '../resources/resource.ts';
import { mapSecrets, mask } from '../resources/secret-fields.ts';
import { AdminError } from './admin-error.ts';

/** A reference is where a secret is, not the secret. */
const reference = /^\$(?:env|secret):\/\//i;

/** Changes `value`. `key` as in the store; so in all of these. */
export function maskSecrets(key: string, value: JsonObject, registry: PluginRegistry): void {
  mapSecrets(key, value, registry, 'all', (secret) => (secret === '' || reference.test(secret) ? secret : mask));
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
