/**
 * jwt-auth: a caller is known by a signed token (RFC 7519) in a header, a query parameter or a cookie. Runs in `rewrite`.
 * The key is a consumer's, found by a claim of the token, or an issuer's (`jwks_uri`, `discovery`), and then no consumer is
 * needed. The algorithm is the key's, never the token's. A token that was verified is not verified again until its
 * lifetime ends or its consumer or key changes.
 * APISIX: `exp` and `nbf` hold whenever a token has them; `claims_to_verify` names those that it must have (apisix#13468).
 * APISIX: hide_credentials removes the token from all three places whatever becomes of the request.
 * APISIX: `secret` is made where it is absent, for all HS algorithms; the newest APISIX asks for one.
 */
import { orAnonymous } from '../../plugin/anonymous-access.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import {
  definePlugin,
  type CredentialIndex,
  type IndexedCredential,
  type PluginLog,
  type Reply,
} from '../../plugin/plugin.ts';
import type { PublicKeyAlgorithm, VerifyKey } from './algorithms.ts';
import { compileClaims, type ClaimRules, type ClaimsConfig, type JsonObject, type Lifetime } from './claims.ts';
import { consumerSchema, credential, type CredentialConfig, type CredentialState } from './credential.ts';
import { compileIdentity, type IdentityConfig, type IdentityRule } from './identity.ts';
import { IssuerKeysUse, type IssuerKeys, type IssuerTls } from './issuer-keys.ts';
import { hideToken, presentedToken, type TokenPlace } from './presented.ts';
import { schema } from './schema.ts';
import { signApi } from './sign.ts';
import { parseToken, type ParsedToken } from './token.ts';
import { tokenDigest, VerifiedTokens } from './verified-tokens.ts';

interface Config extends ClaimsConfig, IdentityConfig, IssuerTls {
  header: string;
  query: string;
  cookie: string;
  hide_credentials: boolean;
  key_claim_name: string;
  store_in_ctx: boolean;
  realm: string;
  anonymous_consumer?: string;
  jwks_uri?: string;
  discovery?: string;
  algorithms: PublicKeyAlgorithm[];
  jwks_ttl: number;
  jwks_timeout: number;
}

/** What a verified token rests on, beside its lifetime: either a consumer's credential or an issuer's key. */
interface Verdict extends Lifetime {
  readonly payload: JsonObject;
  readonly userKey: string;
  readonly credential: IndexedCredential<CredentialState> | undefined;
  readonly issuerKey: VerifyKey | undefined;
  readonly keyId: string | undefined;
}

type Outcome = Reply | undefined | Promise<Reply | undefined>;

interface State {
  readonly place: TokenPlace;
  readonly hide: boolean;
  readonly keyClaim: string;
  readonly storeInContext: boolean;
  readonly anonymous: string | undefined;
  readonly challenge: Readonly<Record<string, string>>;
  readonly claims: ClaimRules;
  /** undefined: consumers hold the keys. */
  readonly issuer: IssuerKeysUse | undefined;
  readonly identity: IdentityRule;
  readonly credentials: CredentialIndex<CredentialState>;
  readonly verified: VerifiedTokens<Verdict>;
  readonly log: PluginLog;
}

export const jwtAuth = definePlugin<Config, State, CredentialConfig, CredentialState>({
  name: 'jwt-auth',
  priority: 2510,
  version: '0.1',
  type: 'auth',
  schema,
  consumerSchema,
  credential,
  apis: [signApi],

  compile(config, { credentials, shared, http, log }) {
    const { jwks_uri: jwksUri, discovery } = config;
    return {
      place: { header: config.header.toLowerCase(), query: config.query, cookie: config.cookie },
      hide: config.hide_credentials,
      keyClaim: config.key_claim_name,
      storeInContext: config.store_in_ctx,
      anonymous: config.anonymous_consumer,
      challenge: { 'WWW-Authenticate': `Bearer realm="${config.realm}"` },
      claims: compileClaims(config),
      issuer:
        jwksUri === undefined && discovery === undefined
          ? undefined
          : new IssuerKeysUse(
              {
                jwksUri,
                discovery,
                algorithms: config.algorithms,
                ttlMs: config.jwks_ttl * 1000,
                timeoutMs: config.jwks_timeout,
                tls: pickTls(config),
                http,
                log,
              },
              shared,
            ),
      identity: compileIdentity(config, credentials),
      credentials,
      verified: new VerifiedTokens(),
      log,
    };
  },

  dispose(state) {
    state.issuer?.release();
  },

  rewrite(state, exchange) {
    const token = presentedToken(state.place, exchange);
    if (state.hide) hideToken(state.place, exchange);
    const result = authenticate(state, exchange, token);
    return result instanceof Promise
      ? result.then((refusal) => settle(state, exchange, refusal))
      : settle(state, exchange, result);
  },
});

function pickTls({ ssl_verify, ssl_ca, ssl_cert, ssl_key, ssl_server_name }: Config): IssuerTls {
  const given = Object.entries({ ssl_verify, ssl_ca, ssl_cert, ssl_key, ssl_server_name });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

function settle(state: State, exchange: Exchange, refusal: Reply | undefined): Reply | undefined {
  return orAnonymous(state, exchange, refusal, () =>
    refuse(state, 'Invalid user authorization', 'anonymous_consumer_missing'),
  );
}

function authenticate(state: State, exchange: Exchange, token: string | null | undefined): Outcome {
  if (token === undefined) return refuse(state, 'Missing JWT token in request', 'missing');
  if (token === null) return refuse(state, 'JWT token invalid', 'ambiguous');
  const digest = tokenDigest(token);
  const known = state.verified.find(digest, Date.now() / 1000);
  if (known !== undefined && stillHolds(state, known)) return accept(state, exchange, known);
  const parsed = parseToken(token);
  if (parsed === undefined) return refuse(state, 'JWT token invalid', 'malformed');
  return state.issuer === undefined
    ? verifyByConsumer(state, exchange, digest, parsed)
    : verifyByIssuer(state, state.issuer.keys, exchange, digest, parsed);
}

/** The very credential or key that the token was verified with is still the one in force. */
function stillHolds(state: State, verdict: Verdict): boolean {
  if (verdict.credential !== undefined) return state.credentials.find(verdict.userKey) === verdict.credential;
  return verdict.issuerKey !== undefined && state.issuer?.keys.has(verdict.issuerKey, verdict.keyId) === true;
}

function verifyByConsumer(state: State, exchange: Exchange, digest: string, token: ParsedToken): Reply | undefined {
  const { payload } = token;
  const userKey = Object.hasOwn(payload, state.keyClaim) ? payload[state.keyClaim] : undefined;
  if (typeof userKey !== 'string') return refuse(state, 'missing user key in JWT token', 'missing_key_claim');
  const found = state.credentials.find(userKey);
  if (found === undefined) {
    const reason = state.credentials.expired(userKey) ? 'expired_credential' : 'unknown_key';
    return refuse(state, 'Invalid user key in JWT token', reason);
  }
  const { key, graceSeconds } = found.state;
  if (key === undefined) return refuse(state, 'failed to verify jwt', 'unresolved_secret');
  const evidence = { payload, userKey, credential: found, issuerKey: undefined, keyId: undefined };
  return verify(state, exchange, digest, token, key, graceSeconds, evidence);
}

function verifyByIssuer(
  state: State,
  issuer: IssuerKeys,
  exchange: Exchange,
  digest: string,
  token: ParsedToken,
): Outcome {
  const verifyWith = (key: VerifyKey | undefined): Reply | undefined => {
    if (key === undefined) return refuse(state, 'failed to verify jwt', 'unknown_issuer_key');
    const { payload, keyId } = token;
    const evidence = { payload, userKey: '', credential: undefined, issuerKey: key, keyId };
    return verify(state, exchange, digest, token, key, 0, evidence);
  };
  const key = issuer.find(token.keyId, token.algorithm);
  return key instanceof Promise ? key.then(verifyWith) : verifyWith(key);
}

function verify(
  state: State,
  exchange: Exchange,
  digest: string,
  token: ParsedToken,
  key: VerifyKey,
  graceSeconds: number,
  evidence: Omit<Verdict, keyof Lifetime>,
): Reply | undefined {
  if (token.algorithm !== key.algorithm) return refuse(state, 'failed to verify jwt', 'algorithm_mismatch');
  if (!key.verify(token.signingInput, token.signature)) return refuse(state, 'failed to verify jwt', 'bad_signature');
  const checked = state.claims.check(token.payload, Date.now() / 1000, graceSeconds, state.issuer?.keys.issuer);
  if ('reason' in checked) {
    const message = checked.status === 403 ? 'insufficient scope in JWT token' : 'failed to verify jwt';
    return refuse(state, message, checked.reason, checked.status);
  }
  const verdict: Verdict = { ...evidence, ...checked };
  if (!exchange.dryRun) state.verified.remember(digest, verdict);
  return accept(state, exchange, verdict);
}

function accept(state: State, exchange: Exchange, { credential: found, payload }: Verdict): Reply | undefined {
  if (found !== undefined) exchange.authenticate(found.consumer);
  else {
    const who = state.identity(payload);
    if (who === 'unknown_consumer') return refuse(state, 'Invalid user key in JWT token', who);
    if (who === 'unknown_group') return refuse(state, 'no group of the JWT token is known', who, 403);
    if (who !== undefined) exchange.authenticate(who);
    // For `acl`: an outside user's groups and roles.
    exchange.context.set('external_user', payload);
  }
  if (state.storeInContext) exchange.context.set('jwt_auth_payload', payload);
  return undefined;
}

function refuse(state: State, message: string, reason: string, status: 401 | 403 = 401): Reply {
  return { status, headers: state.challenge, body: { message }, reason: `jwt-auth.${reason}` };
}
