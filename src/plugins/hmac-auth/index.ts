/**
 * hmac-auth: a caller signs parts of each request with a shared secret (`Authorization: Signature …`). Runs in `rewrite`.
 * The signature is checked before a byte of the body is read. A refused signature leaves in the log the string that the
 * gateway signed, without secrets, so that the difference can be found.
 * APISIX: Date (or X-Date) and, where it is sent, Digest must be part of the signature (apisix#13388, #13395).
 * APISIX: a listed header that the request lacks is refused; APISIX leaves it out of the string to sign.
 * APISIX: `replay_protection` is new: nonces are remembered for as long as their Date may be used, by all workers together.
 */
import { createHmac, createSecretKey, hash, timingSafeEqual, type KeyObject } from 'node:crypto';
import { orAnonymous } from '../../plugin/anonymous-access.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import {
  definePlugin,
  GatewayError,
  isUnresolvedReference,
  type Counters,
  type CredentialIndex,
  type IndexedCredential,
  type PluginLog,
  type Reply,
} from '../../plugin/index.ts';
import { parseAuthorization, type SignatureParameters } from './authorization.ts';
import { consumerSchema, schema, type Algorithm } from './schema.ts';
import { describeStringToSign, stringToSign } from './string-to-sign.ts';

interface Config {
  allowed_algorithms: Algorithm[];
  clock_skew: number;
  signed_headers?: string[];
  validate_request_body: boolean;
  max_req_body_size: number;
  hide_credentials: boolean;
  anonymous_consumer?: string;
  realm: string;
  replay_protection: boolean;
  nonce_header: string;
}

interface CredentialConfig {
  key_id: string;
  secret_key: string;
}

/** undefined: its secret could not be resolved, so that it signs nothing. */
type CredentialState = KeyObject | undefined;

interface State {
  /** Algorithm → its hash. */
  readonly algorithms: ReadonlyMap<string, string>;
  readonly skewSeconds: number;
  /** Lower case. */
  readonly required: readonly string[];
  readonly validateBody: boolean;
  readonly maxBodyBytes: number;
  readonly hide: boolean;
  readonly anonymous: string | undefined;
  readonly challenge: Readonly<Record<string, string>>;
  /** Lower case; undefined: no replay protection. */
  readonly nonceHeader: string | undefined;
  readonly countUse: (numbers: Float64Array, at: number) => number;
  readonly credentials: CredentialIndex<CredentialState>;
  readonly counters: Counters;
  readonly log: PluginLog;
}

type Outcome = Reply | undefined | Promise<Reply | undefined>;

/** Signs where there is no such key, so that time does not tell which key ids exist. */
const nobody = createSecretKey(Buffer.alloc(32));

export const hmacAuth = definePlugin<Config, State, CredentialConfig, CredentialState>({
  name: 'hmac-auth',
  priority: 2530,
  version: '0.1',
  type: 'auth',
  schema,
  consumerSchema,

  credential: {
    compile({ key_id: keyId, secret_key: secret }) {
      const state = isUnresolvedReference(secret) ? undefined : createSecretKey(Buffer.from(secret, 'utf8'));
      return { indexKey: keyId, state };
    },
  },

  compile(config, { credentials, counters, log }) {
    // A Date may lie in the future by as much as in the past: so long its nonce must be known.
    const nonceMs = 2 * config.clock_skew * 1000;
    return {
      algorithms: new Map(config.allowed_algorithms.map((name) => [name, name.slice('hmac-'.length)])),
      skewSeconds: config.clock_skew,
      required: (config.signed_headers ?? []).map((name) => name.toLowerCase()),
      validateBody: config.validate_request_body,
      maxBodyBytes: config.max_req_body_size,
      hide: config.hide_credentials,
      anonymous: config.anonymous_consumer,
      challenge: { 'WWW-Authenticate': `hmac realm="${config.realm}"` },
      nonceHeader: config.replay_protection ? config.nonce_header.toLowerCase() : undefined,
      countUse: (numbers, at) => {
        if (numbers[at] === 0) numbers[at] = Date.now() + nonceMs;
        return (numbers[at + 1] = (numbers[at + 1] ?? 0) + 1);
      },
      credentials,
      counters,
      log,
    };
  },

  rewrite(state, exchange) {
    const result = authenticate(state, exchange);
    if (state.hide) exchange.headers.remove('authorization');
    return result instanceof Promise
      ? result.then((refusal) => settle(state, exchange, refusal))
      : settle(state, exchange, result);
  },
});

function settle(state: State, exchange: Exchange, refusal: Reply | undefined): Reply | undefined {
  return orAnonymous(state, exchange, refusal, () =>
    refuse(state, 'anonymous_consumer_missing', undefined, 'Invalid user authorization'),
  );
}

function authenticate(state: State, exchange: Exchange): Outcome {
  const parameters = parseAuthorization(exchange.headers.getAll('authorization'));
  if (typeof parameters === 'string') {
    const reason = parameters.startsWith('missing') ? 'missing' : 'malformed';
    return refuse(state, reason, parameters, `client request can't be validated: ${parameters}`);
  }
  const hashName = state.algorithms.get(parameters.algorithm);
  if (hashName === undefined) return refuse(state, 'algorithm_refused', 'the algorithm is not allowed here');
  const unbound = checkBinding(state, exchange, parameters);
  if (unbound !== undefined) return unbound;
  const signed = stringToSign(exchange, parameters.keyId, parameters.headers);
  if ('missing' in signed) {
    return refuse(state, 'signed_header_missing', `the signature lists ${signed.missing}, which the request lacks`);
  }
  const found = state.credentials.find(parameters.keyId);
  const expected = createHmac(hashName, found?.state ?? nobody)
    .update(signed.text, 'latin1')
    .digest();
  const same = expected.length === parameters.signature.length && timingSafeEqual(expected, parameters.signature);
  if (found === undefined) {
    return state.credentials.expired(parameters.keyId)
      ? refuse(state, 'expired', 'the credential with this keyId has expired')
      : refuse(state, 'unknown_key', 'no consumer has this keyId');
  }
  if (found.state === undefined) return refuse(state, 'unresolved_secret', 'the secret could not be resolved');
  if (!same) return refuse(state, 'bad_signature', describeStringToSign(signed.text, parameters.headers));
  const replayed = checkNonce(state, exchange, parameters);
  if (replayed !== undefined) return replayed;
  if (state.validateBody) return checkBody(state, exchange, found);
  exchange.authenticate(found.consumer);
  return undefined;
}

/** What protects a request in time and content must itself be signed; the date must be near. */
function checkBinding(state: State, exchange: Exchange, { headers }: SignatureParameters): Reply | undefined {
  const listed = new Set(headers.map((name) => name.toLowerCase()));
  const dateHeader = exchange.headers.has('date') ? 'date' : 'x-date';
  const date = exchange.headers.get(dateHeader);
  if (date === undefined) return refuse(state, 'date_missing', 'the request has neither Date nor X-Date');
  const time = parseHttpDate(date);
  if (time === undefined) return refuse(state, 'date_malformed', `${dateHeader} is no date as HTTP writes it`);
  const off = Math.abs(Date.now() / 1000 - time);
  if (off > state.skewSeconds) return refuse(state, 'clock_skew', `${dateHeader} is off by ${Math.round(off)} s`);
  const needed = [dateHeader, ...state.required];
  if (state.validateBody || exchange.headers.has('digest')) needed.push('digest');
  if (state.nonceHeader !== undefined) needed.push(state.nonceHeader);
  const missing = needed.find((name) => !listed.has(name));
  return missing === undefined
    ? undefined
    : refuse(state, 'unsigned_header', `${missing} is not part of the signature`);
}

function checkNonce(state: State, exchange: Exchange, { keyId }: SignatureParameters): Reply | undefined {
  if (state.nonceHeader === undefined) return undefined;
  const nonce = exchange.headers.getAll(state.nonceHeader).join(', ');
  if (!/^[!-~]{1,128}$/.test(nonce)) {
    return refuse(state, 'nonce_malformed', 'the nonce is not 1 to 128 visible characters');
  }
  // Length first: no keyId and nonce run together into another pair.
  const uses = state.counters.update(
    `hmac-auth ${keyId.length} ${keyId} ${nonce}`,
    exchange.dryRun ? nextUse : state.countUse,
  );
  return uses === 1 ? undefined : refuse(state, 'replayed', 'this nonce was used before');
}

/** Which use the next one is, counting none. */
function nextUse(numbers: Float64Array, at: number): number {
  return numbers[at] === 0 ? 1 : (numbers[at + 1] ?? 0) + 1;
}

async function checkBody(
  state: State,
  exchange: Exchange,
  found: IndexedCredential<CredentialState>,
): Promise<Reply | undefined> {
  let body;
  try {
    body = await exchange.body(state.maxBodyBytes);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.status !== 413) throw error;
    return { status: 413, body: { error_msg: error.publicMessage }, reason: 'hmac-auth.body_too_large' };
  }
  const digest = `SHA-256=${hash('sha256', body, 'base64')}`;
  if (exchange.headers.getAll('digest').join(', ') !== digest) {
    return refuse(state, 'body_digest', 'Digest is not the SHA-256 of the body');
  }
  exchange.authenticate(found.consumer);
  return undefined;
}

const imfFixdate =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** IMF-fixdate (RFC 9110 §5.6.7) → seconds since the epoch. */
function parseHttpDate(text: string): number | undefined {
  const time = imfFixdate.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? undefined : time / 1000;
}

function refuse(
  state: State,
  reason: string,
  detail: string | undefined,
  message = "client request can't be validated",
): Reply {
  const reply = { status: 401, headers: state.challenge, body: { message }, reason: `hmac-auth.${reason}` };
  return detail === undefined ? reply : { ...reply, detail };
}
