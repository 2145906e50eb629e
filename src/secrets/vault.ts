/**
 * HashiCorp Vault's KV engine, versions 1 and 2 (https://developer.hashicorp.com/vault/api-docs/secret/kv).
 * APISIX: reads version 1 only. `kv_version: 2` puts `data/` behind the mount; without it, an answer of version 2 (a `prefix`
 * of `mount/data`) is recognised by its metadata.
 */
import { fetchJson, isObject, SecretSourceError } from './fetch-json.ts';
import type { SecretDocument } from './secrets.ts';

const timeoutMs = 5000;

/** `config`: a stored `secrets/vault/…` with its references resolved. Rejects with SecretSourceError. */
export async function readVault(config: Readonly<Record<string, unknown>>, path: string): Promise<SecretDocument> {
  const { uri, prefix, token, namespace, kv_version: version } = config;
  const mount = segments(String(prefix));
  const middle = version === 2 ? ['data'] : [];
  const base = String(uri).replace(/\/+$/, '');
  const url = new URL(`${base}/v1/${[...mount, ...middle, ...segments(path)].map(encodeURIComponent).join('/')}`);
  const headers: Record<string, string> = { 'X-Vault-Token': String(token), 'X-Vault-Request': 'true' };
  if (typeof namespace === 'string') headers['X-Vault-Namespace'] = namespace;
  const { status, body } = await fetchJson({ url, method: 'GET', headers, timeoutMs });
  if (status === 404) throw new SecretSourceError('vault has no such secret', true);
  if (status !== 200) throw new SecretSourceError(`vault answered ${String(status)}${errorsOf(body)}`);
  const data = isObject(body) ? body['data'] : undefined;
  if (!isObject(data)) throw new SecretSourceError('vault answered without data');
  const { data: inner, metadata } = data;
  const second = version === 2 || (isObject(metadata) && 'version' in metadata && 'created_time' in metadata);
  if (!second) return data;
  if (!isObject(inner)) throw new SecretSourceError('the secret is deleted in vault', true);
  return inner;
}

function segments(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

function errorsOf(body: unknown): string {
  const errors = isObject(body) ? body['errors'] : undefined;
  return Array.isArray(errors) && errors.length > 0 ? `: ${errors.map(String).join('; ').slice(0, 200)}` : '';
}
