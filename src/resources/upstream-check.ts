/** What an upstream's schema cannot say (APISIX: upstream.lua, check_upstream_conf). */
import type { Json, JsonObject, JsonSchema } from './resource.ts';
import { checkKeyPair } from './certificate-check.ts';
import { compileSchema } from './validator.ts';

const hashHeader: JsonSchema = { type: 'string', pattern: '^[a-zA-Z0-9-_]+$' };

/** What `key` must look like, by `hash_on`; a consumer needs none. */
const keySchemas: ReadonlyMap<Json | undefined, JsonSchema> = new Map<Json | undefined, JsonSchema>([
  [
    'vars',
    {
      type: 'string',
      pattern:
        '^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$',
    },
  ],
  ['header', hashHeader],
  ['cookie', hashHeader],
  ['vars_combinations', { type: 'string' }],
]);

const address = /^(?<host>\*?[0-9a-zA-Z-._]+|\[[0-9a-fA-F:.]+\])(?::(?<port>\d*))?$/;

/**
 * `upstream` has passed its schema. Returns the first error, or undefined. Gives each node of a list its default
 * priority, which stands in a branch of the schema that sets no defaults.
 */
export function checkUpstream(upstream: JsonObject): string | undefined {
  const nodes = upstream['nodes'];
  if (Array.isArray(nodes)) {
    for (const node of nodes) {
      if (typeof node === 'object' && node !== null && !Array.isArray(node)) node['priority'] ??= 0;
    }
  } else if (typeof nodes === 'object' && nodes !== null) {
    for (const key of Object.keys(nodes)) {
      const error = checkAddress(key);
      if (error !== undefined) return error;
    }
  }
  if (upstream['pass_host'] === 'rewrite' && (upstream['upstream_host'] ?? '') === '') {
    return "`upstream_host` can't be empty when `pass_host` is `rewrite`";
  }
  const tls = upstream['tls'];
  if (typeof tls === 'object' && tls !== null && !Array.isArray(tls) && tls['client_cert'] !== undefined) {
    const error = checkKeyPair(tls['client_cert'], tls['client_key']);
    if (error !== undefined) return error;
  }
  return checkHashKey(upstream);
}

function checkAddress(key: string): string | undefined {
  const groups = address.exec(key)?.groups;
  // APISIX: takes any text here and fails when a request comes.
  if (!groups) return `invalid node [${key}]: expected host or host:port`;
  const port = groups['port'];
  if (port === undefined || (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) return undefined;
  return `invalid port ${port}`;
}

function checkHashKey(upstream: JsonObject): string | undefined {
  if (upstream['type'] !== 'chash') return undefined;
  const hashOn = upstream['hash_on'];
  if (hashOn !== 'consumer' && upstream['key'] === undefined) return 'missing key';
  const schema = keySchemas.get(hashOn);
  const error = schema && compileSchema(schema)(upstream['key']);
  return error === undefined ? undefined : `invalid configuration: ${error}`;
}
