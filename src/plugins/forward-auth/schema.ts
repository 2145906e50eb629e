/** forward-auth's configuration: APISIX's, and what it has beside. */
import { callSchema, headerListSchema, maxBodySchema, ttlSchema } from '../../plugin/authorizer/outside.ts';
import type { HttpClientOptions } from '../../plugin/http-client/index.ts';
import type { JsonSchema } from '../../resources/resource.ts';

export interface Config extends HttpClientOptions {
  uri: string;
  request_method: 'GET' | 'POST';
  request_headers: string[];
  upstream_headers: string[];
  client_headers: string[];
  consumer_header?: string;
  extra_headers?: Record<string, string | number>;
  timeout: number;
  allow_degradation: boolean;
  status_on_error: number;
  max_body_size: number;
  cache?: { ttl: number };
}

/** Fields that are not the http client's. */
export const ownFields = [
  'uri',
  'request_method',
  'request_headers',
  'upstream_headers',
  'client_headers',
  'consumer_header',
  'extra_headers',
  'allow_degradation',
  'status_on_error',
  'max_body_size',
  'cache',
];

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    uri: { type: 'string', pattern: '^https?://.+', description: 'The authorisation service.' },
    request_method: {
      type: 'string',
      enum: ['GET', 'POST'],
      default: 'GET',
      description: 'Method it is asked with; `POST` sends the request’s body along.',
    },
    request_headers: {
      ...headerListSchema,
      default: [],
      description: 'Headers of the client that are sent to the service, every field of each name.',
    },
    upstream_headers: {
      ...headerListSchema,
      default: [],
      description: 'Headers of the answer that go upstream. What a client sends under these names is always removed.',
    },
    client_headers: {
      ...headerListSchema,
      default: [],
      description: 'Headers of the answer that the client is sent with a refusal.',
    },
    consumer_header: {
      type: 'string',
      minLength: 1,
      description:
        'Header of the answer that names the consumer; where it is missing or names none, the answer is 403. The service is asked in `rewrite` then.',
    },
    extra_headers: {
      type: 'object',
      minProperties: 1,
      additionalProperties: { oneOf: [{ type: 'string' }, { type: 'number' }] },
      description: 'Headers to send beside, with `$variables`; `$post_arg.NAME` reads the body.',
    },
    allow_degradation: {
      type: 'boolean',
      default: false,
      description: 'Let requests pass while the service cannot be reached. Each is logged.',
    },
    status_on_error: {
      type: 'integer',
      minimum: 200,
      maximum: 599,
      default: 403,
      description: 'Status where the service cannot be reached.',
    },
    max_body_size: maxBodySchema,
    cache: {
      type: 'object',
      description: 'Keep verdicts, by all that the service is sent. Off where absent.',
      properties: { ttl: ttlSchema },
      required: ['ttl'],
      additionalProperties: false,
    },
    ...callSchema,
  },
  required: ['uri'],
  encrypt_fields: ['ssl_key'],
};
