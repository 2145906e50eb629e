/**
 * basic-auth: user name and password by RFC 7617. Runs in `rewrite`.
 * Passwords are kept as SHA-256 digests. Every attempt that can be read costs one digest and one constant-time
 * comparison, for unknown users too, so timing does not tell which names exist (GHSA-8fcf-v89g-xpg6).
 * A password may be stored as a slow hash (`$hash://argon2id$…`, plugin/password-hash.ts): hashed once, off the event loop,
 * then remembered; so is the header that presented it, until the credential changes. Once this worker has one, every wrong attempt costs a slow hash, whoever it names; where too many wait,
 * an attempt is refused with 503 and not judged.
 * APISIX: the password is everything after the first colon, spaces included (RFC 7617 §2); APISIX cuts it at the second
 * colon and drops spaces. hide_credentials also holds where anonymous access takes over (apisix#13468).
 */
import { isUtf8 } from 'node:buffer';
import { hash, timingSafeEqual } from 'node:crypto';
import { ConfigError } from '../../errors/gateway-error.ts';
import { orAnonymous } from '../../plugin/anonymous-access.ts';
import { anonymousConsumer, hideCredentials, realmSchema } from '../../plugin/auth-schema.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { HashVerifier, sameHash, type HashedSecret, type Verdict } from '../../plugin/hash-verifier.ts';
import { compileLockout, lockoutSchema, type Lockout, type LockoutConfig } from '../../plugin/lockout.ts';
import { isHashForm, parseHashForm, type SlowHash } from '../../plugin/password-hash.ts';
import {
  definePlugin,
  type CredentialIndex,
  type IndexedCredential,
  type PluginLog,
  type Reply,
} from '../../plugin/plugin.ts';
import { isUnresolvedReference } from '../../plugin/secret-reference.ts';
import type { Shared } from '../../plugin/shared-resources.ts';
import { OpenedFields } from './opened-fields.ts';

interface Config {
  hide_credentials: boolean;
  anonymous_consumer?: string;
  realm?: string;
  lockout?: LockoutConfig;
}

interface CredentialConfig {
  username: string;
  password: string;
}

interface CredentialState {
  /** SHA-256 of the password in hexadecimal, as 64 bytes; undefined: it is hashed, or can match nothing. */
  readonly digest: Buffer | undefined;
  readonly hashed: HashedSecret | undefined;
}

interface State {
  readonly hide: boolean;
  readonly anonymous: string | undefined;
  /** Header of a refusal for want of credentials, and of any other refusal. */
  readonly missingChallenge: Readonly<Record<string, string>>;
  readonly challenge: Readonly<Record<string, string>>;
  readonly credentials: CredentialIndex<CredentialState>;
  readonly log: PluginLog;
  readonly lockout: Lockout | undefined;
  readonly hashes: Shared<HashVerifier>;
  /** undefined where each attempt must be counted. */
  readonly opened: OpenedFields<IndexedCredential<CredentialState>> | undefined;
  /** Compared with where there is no user. */
  readonly nobody: Buffer;
  /** The digest presented, written anew for each comparison. */
  readonly presented: Buffer;
}

type Outcome = Reply | undefined | Promise<Reply | undefined>;

const digestLength = 64;

/**
 * The slow hash that was compiled last in this thread: what an attempt for nobody costs. The one thing here that outlives a
 * configuration; it holds parameters, a salt and a hash that no attempt is compared with.
 */
const decoy: { form: SlowHash | undefined } = { form: undefined };

export const basicAuth = definePlugin<Config, State, CredentialConfig, CredentialState>({
  name: 'basic-auth',
  priority: 2520,
  version: '0.1',
  type: 'auth',
  schema: {
    type: 'object',
    title: 'work with route or service object',
    properties: {
      hide_credentials: hideCredentials('the Authorization header'),
      anonymous_consumer: anonymousConsumer('valid credentials'),
      realm: {
        ...realmSchema,
        description:
          'Realm named in WWW-Authenticate of every refusal; without it, only of one for missing credentials.',
      },
      lockout: lockoutSchema,
    },
  },
  consumerSchema: {
    type: 'object',
    title: 'work with consumer object',
    properties: {
      username: { type: 'string', description: 'User name; unique among all consumers, and without a colon.' },
      password: {
        type: 'string',
        description: 'Password, or its hash as `gatewright hash` prints it: `$hash://argon2id$…`, `$hash://scrypt$…`.',
      },
    },
    required: ['username', 'password'],
    encrypt_fields: ['password'],
  },

  credential: {
    // A reference holds a colon, so as a user name it can never be presented.
    compile({ username, password }) {
      if (isUnresolvedReference(password))
        return { indexKey: username, state: { digest: undefined, hashed: undefined } };
      if (!isHashForm(password)) {
        const digest = Buffer.from(hash('sha256', password, 'hex'), 'latin1');
        return { indexKey: username, state: { digest, hashed: undefined } };
      }
      const form = parseHashForm(password);
      if (form.algorithm === 'sha256')
        throw new ConfigError('sha256 is too fast for a password: use argon2id or scrypt');
      decoy.form = form;
      return { indexKey: username, state: { digest: undefined, hashed: { form, remembered: undefined } } };
    },
  },

  compile(config, { credentials, log, counters, shared }) {
    const realm: Record<string, string> =
      config.realm === undefined ? {} : { 'WWW-Authenticate': `Basic realm="${config.realm}"` };
    return {
      hide: config.hide_credentials,
      anonymous: config.anonymous_consumer,
      missingChallenge: config.realm === undefined ? { 'WWW-Authenticate': "Basic realm='.'" } : realm,
      challenge: realm,
      credentials,
      log,
      lockout: config.lockout === undefined ? undefined : compileLockout('basic-auth', config.lockout, counters),
      hashes: shared.acquire('basic-auth hashes', () => ({ value: new HashVerifier(), close: () => undefined })),
      opened: config.lockout === undefined ? new OpenedFields() : undefined,
      nobody: Buffer.alloc(digestLength),
      presented: Buffer.alloc(digestLength),
    };
  },

  dispose(state) {
    state.hashes.release();
  },

  rewrite(state, exchange) {
    const outcome = authenticate(state, exchange);
    if (state.hide) exchange.headers.remove('authorization');
    return outcome instanceof Promise
      ? outcome.then((refusal) => settle(state, exchange, refusal))
      : settle(state, exchange, outcome);
  },
});

function settle(state: State, exchange: Exchange, refusal: Reply | undefined): Reply | undefined {
  return orAnonymous(state, exchange, refusal, () =>
    refuse('Invalid user authorization', 'anonymous_consumer_missing', state.challenge),
  );
}

/** Attaches the user's consumer, or says why not. */
function authenticate(state: State, exchange: Exchange): Outcome {
  const fields = exchange.headers.getAll('authorization');
  const [field] = fields;
  if (field === undefined) return refuse('Missing authorization in request', 'missing', state.missingChallenge);
  const digest = state.opened?.digest(field);
  const opened = digest === undefined || fields.length > 1 ? undefined : state.opened?.find(digest);
  if (opened !== undefined && state.credentials.find(opened.name) === opened.found) {
    exchange.authenticate(opened.found.consumer);
    return undefined;
  }
  const pair = fields.length === 1 ? decodeCredentials(field) : undefined;
  if (pair === undefined) return refuse('Invalid authorization in request', 'malformed', state.challenge);
  // RFC 7617 §2: the user name ends at the first colon.
  const colon = pair.indexOf(':');
  if (colon === -1) return refuse('Invalid authorization in request', 'malformed', state.challenge);
  const name = pair.slice(0, colon);
  const locked = state.lockout?.refusal(name, exchange);
  if (locked !== undefined) return locked;
  const verdict = judge(state, name, pair.slice(colon + 1), exchange.remoteAddress);
  return verdict instanceof Promise
    ? verdict.then((late) => conclude(state, exchange, name, digest, late))
    : conclude(state, exchange, name, digest, verdict);
}

/** The credential that the password opens; false: none. */
type Judgement = { readonly credential: CredentialState } | false | undefined;

function judge(state: State, name: string, password: string, from: string): Judgement | Promise<Judgement> {
  const credential = state.credentials.find(name)?.state;
  // What was verified before is let in; whatever else is presented costs the same, whoever it names.
  if (credential?.hashed !== undefined && state.hashes.value.remembers(credential.hashed, password))
    return { credential };
  state.presented.write(hash('sha256', password, 'hex'), 'latin1');
  const same = timingSafeEqual(state.presented, credential?.digest ?? state.nobody);
  if (credential?.digest !== undefined && same) return { credential };
  const form = credential?.hashed?.form ?? decoy.form;
  if (form === undefined) return false;
  const attempt = { secret: password, name, from };
  const verdict =
    credential?.hashed === undefined
      ? state.hashes.value.refuse(form, attempt)
      : state.hashes.value.verify(credential.hashed, attempt);
  return verdict instanceof Promise
    ? verdict.then((late) => judgementOf(late, credential))
    : judgementOf(verdict, credential);
}

function judgementOf(verdict: Verdict, credential: CredentialState | undefined): Judgement {
  if (verdict !== true) return verdict;
  return credential === undefined ? false : { credential };
}

/** `digest`: of the field that was presented. */
function conclude(
  state: State,
  exchange: Exchange,
  name: string,
  digest: string | undefined,
  judgement: Judgement,
): Reply | undefined {
  if (judgement === undefined) {
    return {
      status: 503,
      headers: { 'Retry-After': '1' },
      body: { message: 'Too many credentials to verify' },
      reason: 'basic-auth.busy',
    };
  }
  const found = state.credentials.find(name);
  // While it was hashed, the credential may have been changed or taken away.
  if (found !== undefined && judgement !== false && isSame(found.state, judgement.credential)) {
    state.lockout?.succeeded(name, exchange);
    if (digest !== undefined && !exchange.dryRun) state.opened?.remember(digest, { name, found });
    exchange.authenticate(found.consumer);
    return undefined;
  }
  state.lockout?.failed(name, exchange);
  const unknown = state.credentials.expired(name) ? 'expired' : 'unknown_user';
  return refuse('Invalid user authorization', found === undefined ? unknown : 'wrong_password', state.challenge);
}

function isSame(one: CredentialState, other: CredentialState): boolean {
  return one === other || sameHash(one.hashed, other.hashed);
}

/**
 * `Basic` and base64 whose unused bits are zero (RFC 4648 §3.5): one text for one pair. Without `i`, which would also hold for the
 * token.
 */
const basicField =
  /^[Bb][Aa][Ss][Ii][Cc] +((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw](?:==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=?)?)$/;

/** `Basic token68` (RFC 9110 §11.4) → `user:password`; undefined where it is anything else, or not UTF-8. */
function decodeCredentials(field: string): string | undefined {
  const token = basicField.exec(field)?.[1];
  if (token === undefined) return undefined;
  const bytes = Buffer.from(token, 'base64');
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

function refuse(message: string, reason: string, headers: Readonly<Record<string, string>>): Reply {
  return { status: 401, headers, body: { message }, reason: `basic-auth.${reason}` };
}
