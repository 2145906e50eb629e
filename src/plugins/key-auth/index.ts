/**
 * key-auth: a caller is known by one key in a header or, failing that, a query parameter. Runs in `rewrite`.
 * Keys are kept and found by their SHA-256; the digest found is compared again in constant time, so neither memory
 * order nor timing tells anything of a key. A key sent twice is ambiguous and refused, as is an unresolved reference.
 * A key may be stored as a hash (plugin/password-hash.ts). `$hash://sha256$HEX` is looked up as a plain key is, and is for keys
 * that a machine made. A slow hash cannot be looked up: it says which prefix its key begins with,
 * `$hash://argon2id$keyid=PREFIX,…`, clients send `PREFIX.SECRET`, and the hash is of all of it. It is computed once, off the
 * event loop, then remembered; where too many wait, a request is refused with 503. A prefix is a name, not a secret: an
 * unknown one is refused at once.
 * APISIX: hide_credentials removes the header and the parameter whatever becomes of the request, so that a wrong key
 * does not reach the upstream through anonymous access (apisix#13468).
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import { orAnonymous } from '../../plugin/anonymous-access.ts';
import { anonymousConsumer, hideCredentials, realm } from '../../plugin/auth-schema.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { HashVerifier, sameHash, type HashedSecret, type Verdict } from '../../plugin/hash-verifier.ts';
import { compileLockout, lockoutSchema, type Lockout, type LockoutConfig } from '../../plugin/lockout.ts';
import { isHashForm, parseHashForm } from '../../plugin/password-hash.ts';
import {
  definePlugin,
  type CredentialIndex,
  type IndexedCredential,
  type PluginLog,
  type Reply,
} from '../../plugin/plugin.ts';
import { isUnresolvedReference } from '../../plugin/secret-reference.ts';
import type { Shared } from '../../plugin/shared-resources.ts';
import { queryValues, withoutQueryParameter } from '../../plugin/uri.ts';

interface Config {
  header: string;
  query: string;
  realm: string;
  hide_credentials: boolean;
  bearer_token: boolean;
  anonymous_consumer?: string;
  lockout?: LockoutConfig;
}

interface CredentialConfig {
  key: string;
}

/** The key's digest in hexadecimal, as 64 bytes, or its slow hash; undefined: it can match nothing. */
type CredentialState = Buffer | HashedSecret | undefined;

interface State {
  readonly header: string;
  readonly query: string;
  readonly bearer: boolean;
  readonly hide: boolean;
  readonly anonymous: string | undefined;
  readonly challenge: Readonly<Record<string, string>>;
  readonly credentials: CredentialIndex<CredentialState>;
  readonly log: PluginLog;
  readonly lockout: Lockout | undefined;
  readonly hashes: Shared<HashVerifier>;
  /** The digest presented, written anew for each comparison. */
  readonly presented: Buffer;
}

type Found = IndexedCredential<CredentialState> | undefined;
type Outcome = Reply | undefined | Promise<Reply | undefined>;

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
      hide_credentials: hideCredentials('the header and the query parameter'),
      bearer_token: {
        type: 'boolean',
        default: false,
        description: 'Take the key from `Authorization: Bearer KEY` instead of `header`.',
      },
      anonymous_consumer: anonymousConsumer('a valid key'),
      realm: realm('key'),
      lockout: lockoutSchema,
    },
  },
  consumerSchema: {
    type: 'object',
    properties: {
      key: {
        type: 'string',
        minLength: 1,
        description:
          'The key, unique among all consumers; or its hash as `gatewright hash --key` prints it: `$hash://sha256$…` for a ' +
          'key that a machine made, `$hash://argon2id$keyid=PREFIX,…` for `PREFIX.SECRET`.',
      },
    },
    required: ['key'],
    encrypt_fields: ['key'],
  },

  credential: {
    compile({ key }) {
      if (isHashForm(key)) return compileHashed(key);
      const digest = hash('sha256', key, 'hex');
      if (isUnresolvedReference(key)) return { indexKey: `unresolved:${digest}`, state: undefined };
      return { indexKey: digest, state: Buffer.from(digest, 'latin1') };
    },
  },

  compile(config, { credentials, log, counters, shared }) {
    return {
      header: config.bearer_token ? 'authorization' : config.header.toLowerCase(),
      query: config.query,
      bearer: config.bearer_token,
      hide: config.hide_credentials,
      anonymous: config.anonymous_consumer,
      challenge: { 'WWW-Authenticate': `${config.bearer_token ? 'Bearer' : 'apikey'} realm="${config.realm}"` },
      credentials,
      log,
      lockout: config.lockout === undefined ? undefined : compileLockout('key-auth', config.lockout, counters),
      hashes: shared.acquire('key-auth hashes', () => ({ value: new HashVerifier(), close: () => undefined })),
      presented: Buffer.alloc(digestLength),
    };
  },

  dispose(state) {
    state.hashes.release();
  },

  rewrite(state, exchange) {
    const outcome = authenticate(state, exchange);
    if (state.hide) hideKey(state, exchange);
    return outcome instanceof Promise
      ? outcome.then((refusal) => settle(state, exchange, refusal))
      : settle(state, exchange, outcome);
  },
});

/** A hash of the key: by what it is found, and what it must match. Throws ConfigError. */
function compileHashed(key: string): { indexKey: string; state: CredentialState } {
  const form = parseHashForm(key);
  if (form.algorithm === 'sha256') return { indexKey: form.digest, state: Buffer.from(form.digest, 'latin1') };
  if (form.keyId === undefined)
    throw new ConfigError(`${form.algorithm} needs keyid=PREFIX, by which a key PREFIX.SECRET is found`);
  return { indexKey: `prefix:${form.keyId}`, state: { form, remembered: undefined } };
}

function settle(state: State, exchange: Exchange, refusal: Reply | undefined): Reply | undefined {
  return orAnonymous(state, exchange, refusal, () =>
    refuse(state, 'Invalid user authorization', 'anonymous_consumer_missing'),
  );
}

/** Attaches the key's consumer, or says why not. */
function authenticate(state: State, exchange: Exchange): Outcome {
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
  const known = found?.state;
  state.presented.write(digest, 'latin1');
  const owner = known instanceof Uint8Array && timingSafeEqual(state.presented, known) ? found : undefined;
  if (owner !== undefined && state.lockout === undefined) {
    exchange.authenticate(owner.consumer);
    return undefined;
  }
  return authenticateRarely(state, exchange, key, digest, owner);
}

/** With a lockout, or a key that is hashed or unknown. `found`: the credential of a key that is right. */
function authenticateRarely(state: State, exchange: Exchange, key: string, digest: string, found: Found): Outcome {
  const dot = key.indexOf('.');
  const prefix = key.slice(0, Math.max(0, dot));
  const hashed = dot > 0 ? state.credentials.find(`prefix:${prefix}`) : undefined;
  // Failures count for a prefix that exists; all others, whatever they begin with, together.
  const name = found === undefined && hashed !== undefined ? prefix : '';
  const locked = state.lockout?.refusal(name, exchange);
  if (locked !== undefined) return locked;
  const wrong = (): Reply => {
    state.lockout?.failed(name, exchange);
    const expired = state.credentials.expired(digest) || (dot > 0 && state.credentials.expired(`prefix:${prefix}`));
    return refuse(state, 'Invalid API key in request', expired ? 'expired' : 'unknown_key');
  };
  if (found !== undefined) {
    // Failures stay: else the owner of one key could go on guessing others.
    exchange.authenticate(found.consumer);
    return undefined;
  }
  const secret = hashed?.state;
  if (secret === undefined || secret instanceof Uint8Array) return wrong();
  const conclude = (verdict: Verdict): Reply | undefined => {
    if (verdict === undefined) return busy;
    // While it was hashed, the credential may have been changed or taken away.
    const current = state.credentials.find(`prefix:${name}`);
    if (!verdict || current === undefined || current.state instanceof Uint8Array || !sameHash(current.state, secret))
      return wrong();
    state.lockout?.succeeded(name, exchange);
    exchange.authenticate(current.consumer);
    return undefined;
  };
  const verdict = state.hashes.value.verify(secret, { secret: key, name, from: exchange.remoteAddress });
  return verdict instanceof Promise ? verdict.then(conclude) : conclude(verdict);
}

const busy: Reply = {
  status: 503,
  headers: { 'Retry-After': '1' },
  body: { message: 'Too many credentials to verify' },
  reason: 'key-auth.busy',
};

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
