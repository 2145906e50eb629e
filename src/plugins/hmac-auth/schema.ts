/** hmac-auth on a route or service: APISIX's fields first, then what is this gateway's own. */
import { anonymousConsumer, hideCredentials, realm } from '../../plugin/auth-schema.ts';
import type { JsonSchema } from '../../plugin/index.ts';

export const algorithms = ['hmac-sha1', 'hmac-sha256', 'hmac-sha512'] as const;
export type Algorithm = (typeof algorithms)[number];

export const schema: JsonSchema = {
  type: 'object',
  title: 'work with route or service object',
  properties: {
    allowed_algorithms: {
      type: 'array',
      minItems: 1,
      items: { type: 'string', enum: [...algorithms] },
      default: [...algorithms],
      description: 'Algorithms that a signature may be made with.',
    },
    clock_skew: {
      type: 'integer',
      minimum: 1,
      default: 300,
      description: 'Seconds that the Date (or X-Date) of a request may be off.',
    },
    signed_headers: {
      type: 'array',
      items: { type: 'string', minLength: 1, maxLength: 50 },
      description: 'Headers that must be part of the signature, beside Date and Digest; `@request-target` may be one.',
    },
    validate_request_body: {
      type: 'boolean',
      default: false,
      description: 'Compare the body with the Digest header (SHA-256), which must be there then.',
    },
    max_req_body_size: {
      type: 'integer',
      minimum: 1,
      default: 67108864,
      description: 'Bytes of a body that is compared; a longer one is 413.',
    },
    hide_credentials: hideCredentials('the Authorization header'),
    anonymous_consumer: anonymousConsumer('a valid signature'),
    realm: realm('hmac'),
    replay_protection: {
      type: 'boolean',
      default: false,
      description: 'Each request must bear a signed nonce, and a nonce passes once.',
    },
    nonce_header: {
      type: 'string',
      minLength: 1,
      default: 'X-Nonce',
      description: 'Header of the nonce: 1 to 128 visible characters.',
    },
  },
};

export const consumerSchema: JsonSchema = {
  type: 'object',
  title: 'work with consumer object',
  properties: {
    key_id: {
      type: 'string',
      minLength: 1,
      maxLength: 256,
      description: 'Names the key in a request; unique among all consumers.',
    },
    secret_key: { type: 'string', minLength: 1, maxLength: 256, description: 'The shared secret.' },
  },
  required: ['key_id', 'secret_key'],
  encrypt_fields: ['secret_key'],
};
