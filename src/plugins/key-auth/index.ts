/**
 * key-auth: a caller is known by one key in a header or, failing that, a query parameter. Runs in `rewrite`.
 * Keys are kept and found by their SHA-256; the digest found is compared again in constant time, so neither memory
 * order nor timing tells anything of a key. A key sent twice is ambiguous and refused, as is an unresolved reference.
 * APISIX: hide_credentials removes the header and the parameter whatever becomes of the request, so that a wrong key
 * does not reach the upstream through anonymous access (apisix#13468).
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type CredentialIndex, type PluginLog, type Reply } from '../../plugin/plugin.ts';
import { isUnresolvedReference } from '../../plugin/secret-reference.ts';
import { queryValues, withoutQueryParameter } from '../../plugin/uri.ts';

interface Config {
  header: string;
  query: string;
  realm: string;
  hide_credentials: boolean;
  bearer_token: boolean;
  anonymous_consumer?: string;
}

interface CredentialConfig {
  key: string;
}

/** The key's digest in hexadecimal, as 64 bytes; undefined: it can match nothing. */
type CredentialState = Buffer | undefined;

interface State {
  readonly header: string;
  readonly query: string;
  readonly bearer: boolean;
  readonly hide: boolean;
  readonly anonymous: string | undefined;
  readonly challenge: Readonly<Record<string, string>>;
  readonly credentials: CredentialIndex<CredentialState>;
  readonly log: PluginLog;
  /** The digest presented, written anew for each comparison. */
  readonly presented: Buffer;
}

const digestLength = 64;

export const keyAuth = definePlugin<Config, State, CredentialConfig, CredentialState>({
  name: 'key-auth',
  priority: 2500,
  version: '0.1',
  type: 'auth',
  schema: {
    type: 'object',
    properties: {
      header: { type: 'string', minLength: 1, default: 'apikey', description: 'Header that holds the key.' },
      query: {
        type: 'string',
        minLength: 1,
        default: 'apikey',
        description: 'Query parameter that holds the key where the header is absent.',
      },
      hide_credentials: {
        type: 'boolean',
        default: false,
        description: 'Remove the header and the query parameter before the request goes upstream.',
      },
      bearer_token: {
        type: 'boolean',
        default: false,
        description: 'Take the key from `Authorization: Bearer KEY` instead of `header`.',
      },
      anonymous_consumer: {
        type: 'string',
        minLength: 1,
        description: 'Consumer that stands in for a caller without a valid key.',
      },
      realm: {
        type: 'string',
        pattern: '^[^"\\\\\\x00-\\x1f\\x7f]+$',
        default: 'key',
        description: 'Realm named in WWW-Authenticate.',
      },
    },
  },
  consumerSchema: {
    type: 'object',
    properties: {
      key: { type: 'string', minLength: 1, description: 'The key; unique among all consumers.' },
    },
    required: ['key'],
    encrypt_fields: ['key'],
  },

  credential: {
    compile({ key }) {
      const digest = hash('sha256', key, 'hex');
      if (isUnresolvedReference(key)) return { indexKey: `unresolved:${digest}`, state: undefined };
      return { indexKey: digest, state: Buffer.from(digest, 'latin1') };
    },
  },

  compile(config, { credentials, log }) {
    return {
      header: config.bearer_token ? 'authorization' : config.header.toLowerCase(),
      query: config.query,
      bearer: config.bearer_token,
      hide: config.hide_credentials,
      anonymous: config.anonymous_consumer,
      challenge: { 'WWW-Authenticate': `${config.bearer_token ? 'Bearer' : 'apikey'} realm="${config.realm}"` },
      credentials,
      log,
      presented: Buffer.alloc(digestLength),
    };
  },

  rewrite(state, exchange) {
    const refusal = authenticate(state, exchange);
    if (state.hide) hideKey(state, exchange);
    if (refusal === undefined || state.anonymous === undefined) return refusal;
    const anonymous = state.credentials.consumer(state.anonymous);
    if (anonymous !== undefined) {
      exchange.authenticate(anonymous);
      return undefined;
    }
    state.log.error(`anonymous consumer ${state.anonymous} does not exist`);
    return refuse(state, 'Invalid user authorization', 'anonymous_consumer_missing');
  },
});

/** Attaches the key's consumer, or says why not. */
function authenticate(state: State, exchange: Exchange): Reply | undefined {
  let values = exchange.headers.getAll(state.header);
  let key = values[0];
  if (key === undefined) {
    // Only a request without the header pays for reading its query.
    values = queryValues(exchange.query, state.query);
    key = values[0];
    if (key === undefined) return refuse(state, 'Missing API key found in request', 'missing');
  } else {
    if (state.bearer) {
      const token = /^Bearer +(.+)$/i.exec(key)?.[1];
      if (token === undefined) return refuse(state, 'Invalid Bearer token format', 'bearer_malformed');
      key = token;
    }
    key = headerText(key);
  }
  if (values.length > 1) return refuse(state, 'Invalid API key in request', 'ambiguous');
  const digest = hash('sha256', key, 'hex');
  const found = state.credentials.find(digest);
  state.presented.write(digest, 'latin1');
  if (found?.state === undefined || !timingSafeEqual(state.presented, found.state)) {
    return refuse(state, 'Invalid API key in request', 'unknown_key');
  }
  exchange.authenticate(found.consumer);
  return undefined;
}

/** A header value is bytes as Latin-1; a key is configured as text. */
function headerText(value: string): string {
  return /^[!-~]*$/.test(value) ? value : Buffer.from(value, 'latin1').toString('utf8');
}

function hideKey(state: State, exchange: Exchange): void {
  exchange.headers.remove(state.header);
  const query = exchange.upstream.query ?? exchange.query;
  if (query !== '') exchange.upstream.query = withoutQueryParameter(query, state.query);
}

function refuse(state: State, message: string, reason: string): Reply {
  return { status: 401, headers: state.challenge, body: { message }, reason: `key-auth.${reason}` };
}
