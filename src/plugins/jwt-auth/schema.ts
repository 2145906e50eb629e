/** jwt-auth on a route or service: APISIX's fields first, then what is this gateway's own. */
import { anonymousConsumer, hideCredentials, realm } from '../../plugin/auth-schema.ts';
import { httpClientSchema, httpClientSecretFields } from '../../plugin/http-client/index.ts';
import type { JsonSchema } from '../../plugin/index.ts';
import { publicKeyAlgorithms } from './algorithms.ts';

const name = { type: 'string', minLength: 1 };
const url = { type: 'string', pattern: '^https?://[^\\s]+$' };
const oneOrMore = {
  anyOf: [
    { type: 'string', minLength: 1 },
    { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } },
  ],
};

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    header: { ...name, default: 'authorization', description: 'Header of the token, with or without `Bearer `.' },
    query: { ...name, default: 'jwt', description: 'Query parameter of the token where the header is absent.' },
    cookie: { ...name, default: 'jwt', description: 'Cookie of the token where header and parameter are absent.' },
    hide_credentials: hideCredentials('header, query parameter and cookie'),
    key_claim_name: { ...name, default: 'key', description: "Claim that names the consumer's credential." },
    store_in_ctx: {
      type: 'boolean',
      default: false,
      description: 'Keep the payload for other plugins, in the exchange’s context as `jwt_auth_payload`.',
    },
    realm: realm('jwt'),
    anonymous_consumer: anonymousConsumer('a valid token'),
    claims_to_verify: {
      type: 'array',
      uniqueItems: true,
      items: { type: 'string', enum: ['exp', 'nbf'] },
      description: 'Claims that a token must have. Those it has are verified in any case.',
    },
    issuer: { ...oneOrMore, description: 'Accepted values of `iss`. With `discovery`, the document names it.' },
    audience: { ...oneOrMore, description: 'A token must be meant for one of these (`aud`).' },
    scopes: {
      type: 'array',
      minItems: 1,
      items: name,
      description: 'Scopes that a token must have, all of them (`scope` or `scp`); 403 otherwise.',
    },
    jwks_uri: { ...url, description: "Address of an issuer's keys. They take the place of the consumers' keys." },
    discovery: { ...url, description: "Address of an issuer's OpenID configuration, which names its keys." },
    algorithms: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { type: 'string', enum: [...publicKeyAlgorithms] },
      default: ['RS256'],
      description: "Algorithms accepted with an issuer's keys.",
    },
    jwks_ttl: {
      type: 'integer',
      minimum: 1,
      default: 300,
      description: "Seconds until an issuer's keys are renewed. Keys that cannot be renewed serve one hour more.",
    },
    jwks_timeout: {
      type: 'integer',
      minimum: 1,
      default: 3000,
      description: 'Milliseconds that an issuer has to answer.',
    },
    ssl_verify: httpClientSchema.ssl_verify,
    ssl_ca: httpClientSchema.ssl_ca,
    ssl_cert: httpClientSchema.ssl_cert,
    ssl_key: httpClientSchema.ssl_key,
    ssl_server_name: httpClientSchema.ssl_server_name,
    consumer_claim: { ...name, description: "Claim of an issuer's token that holds the consumer's username." },
    group_claim: { ...name, description: "Claim of an issuer's token that holds the user's groups." },
    groups: {
      type: 'object',
      minProperties: 1,
      additionalProperties: { type: 'string', minLength: 1 },
      description: 'Value of `group_claim` → id of a consumer group; the first that fits counts.',
    },
  },
  dependencies: { group_claim: ['groups'], groups: ['group_claim'] },
  encrypt_fields: [...httpClientSecretFields],
};
