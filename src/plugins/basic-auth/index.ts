/**
 * basic-auth: user name and password by RFC 7617. Runs in `rewrite`.
 * Passwords are kept as SHA-256 digests. Every attempt that can be read costs one digest and one constant-time
 * comparison, for unknown users too, so timing does not tell which names exist (GHSA-8fcf-v89g-xpg6).
 * APISIX: the password is everything after the first colon, spaces included (RFC 7617 §2); APISIX cuts it at the second
 * colon and drops spaces. hide_credentials also holds where anonymous access takes over (apisix#13468).
 */
import { isUtf8 } from 'node:buffer';
import { hash, timingSafeEqual } from 'node:crypto';
import type { Exchange } from '../../plugin/exchange.ts';
import { definePlugin, type CredentialIndex, type PluginLog, type Reply } from '../../plugin/plugin.ts';
import { isUnresolvedReference } from '../../plugin/secret-reference.ts';

interface Config {
  hide_credentials: boolean;
  anonymous_consumer?: string;
  realm?: string;
}

interface CredentialConfig {
  username: string;
  password: string;
}

interface CredentialState {
  /** SHA-256 of the password in hexadecimal, as 64 bytes; undefined: it can match nothing. */
  readonly digest: Buffer | undefined;
}

interface State {
  readonly hide: boolean;
  readonly anonymous: string | undefined;
  /** Header of a refusal for want of credentials, and of any other refusal. */
  readonly missingChallenge: Readonly<Record<string, string>>;
  readonly challenge: Readonly<Record<string, string>>;
  readonly credentials: CredentialIndex<CredentialState>;
  readonly log: PluginLog;
  /** Compared with where there is no user. */
  readonly nobody: Buffer;
  /** The digest presented, written anew for each comparison. */
  readonly presented: Buffer;
}

const digestLength = 64;

export const basicAuth = definePlugin<Config, State, CredentialConfig, CredentialState>({
  name: 'basic-auth',
  priority: 2520,
  version: '0.1',
  type: 'auth',
  schema: {
    type: 'object',
    title: 'work with route or service object',
    properties: {
      hide_credentials: {
        type: 'boolean',
        default: false,
        description: 'Remove the Authorization header before the request goes upstream.',
      },
      anonymous_consumer: {
        type: 'string',
        minLength: 1,
        description: 'Consumer that stands in for a caller without valid credentials.',
      },
      realm: {
        type: 'string',
        pattern: '^[^"\\\\\\x00-\\x1f\\x7f]+$',
        description:
          'Realm named in WWW-Authenticate of every refusal; without it, only of one for missing credentials.',
      },
    },
  },
  consumerSchema: {
    type: 'object',
    title: 'work with consumer object',
    properties: {
      username: { type: 'string', description: 'User name; unique among all consumers, and without a colon.' },
      password: { type: 'string', description: 'Password.' },
    },
    required: ['username', 'password'],
    encrypt_fields: ['password'],
  },

  credential: {
    compile({ username, password }) {
      const digest = isUnresolvedReference(password)
        ? undefined
        : Buffer.from(hash('sha256', password, 'hex'), 'latin1');
      // A reference holds a colon, so as a user name it can never be presented.
      return { indexKey: username, state: { digest } };
    },
  },

  compile(config, { credentials, log }) {
    const realm: Record<string, string> =
      config.realm === undefined ? {} : { 'WWW-Authenticate': `Basic realm="${config.realm}"` };
    return {
      hide: config.hide_credentials,
      anonymous: config.anonymous_consumer,
      missingChallenge: config.realm === undefined ? { 'WWW-Authenticate': "Basic realm='.'" } : realm,
      challenge: realm,
      credentials,
      log,
      nobody: Buffer.alloc(digestLength),
      presented: Buffer.alloc(digestLength),
    };
  },

  rewrite(state, exchange) {
    const refusal = authenticate(state, exchange);
    if (state.hide) exchange.headers.remove('authorization');
    if (refusal === undefined || state.anonymous === undefined) return refusal;
    const anonymous = state.credentials.consumer(state.anonymous);
    if (anonymous !== undefined) {
      exchange.authenticate(anonymous);
      return undefined;
    }
    state.log.error(`anonymous consumer ${state.anonymous} does not exist`);
    return refuse('Invalid user authorization', 'anonymous_consumer_missing', state.challenge);
  },
});

/** Attaches the user's consumer, or says why not. */
function authenticate(state: State, exchange: Exchange): Reply | undefined {
  const fields = exchange.headers.getAll('authorization');
  const [field] = fields;
  if (field === undefined) return refuse('Missing authorization in request', 'missing', state.missingChallenge);
  const pair = fields.length === 1 ? decodeCredentials(field) : undefined;
  if (pair === undefined) return refuse('Invalid authorization in request', 'malformed', state.challenge);
  // RFC 7617 §2: the user name ends at the first colon.
  const colon = pair.indexOf(':');
  if (colon === -1) return refuse('Invalid authorization in request', 'malformed', state.challenge);
  const found = state.credentials.find(pair.slice(0, colon));
  const expected = found?.state.digest;
  state.presented.write(hash('sha256', pair.slice(colon + 1), 'hex'), 'latin1');
  const same = timingSafeEqual(state.presented, expected ?? state.nobody);
  if (found === undefined) return refuse('Invalid user authorization', 'unknown_user', state.challenge);
  if (!same || expected === undefined) {
    return refuse('Invalid user authorization', 'wrong_password', state.challenge);
  }
  exchange.authenticate(found.consumer);
  return undefined;
}

/** `Basic token68` (RFC 9110 §11.4) → `user:password`; undefined where it is anything else, or not UTF-8. */
function decodeCredentials(field: string): string | undefined {
  const token = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(field)?.[1];
  if (token === undefined) return undefined;
  const bytes = Buffer.from(token, 'base64');
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

function refuse(message: string, reason: string, headers: Readonly<Record<string, string>>): Reply {
  return { status: 401, headers, body: { message }, reason: `basic-auth.${reason}` };
}
