/** The options of an http client as JSON Schema, for plugins to embed in their own. */
import type { JsonSchema } from '../../resources/resource.ts';

/** To spread into a plugin's `properties`. Without defaults, so that they do not stand in every stored configuration. */
export const httpClientSchema = {
  ssl_verify: { type: 'boolean', description: 'Verify the server’s certificate and name; done if not given.' },
  ssl_cert: {
    type: 'string',
    minLength: 1,
    description: 'Client certificate and its intermediates: PEM text, the path of a file, or a secret reference.',
  },
  ssl_key: {
    type: 'string',
    minLength: 1,
    description: 'Private key of `ssl_cert`: PEM text, the path of a file, or a secret reference.',
  },
  ssl_ca: {
    type: 'string',
    minLength: 1,
    description:
      'Authorities that the server is verified against, instead of the gateway’s: PEM text, the path of a file, or a secret reference.',
  },
  ssl_server_name: {
    type: 'string',
    minLength: 1,
    description: 'Name for SNI and verification; the host of the URL if not given.',
  },
  ssl_protocols: {
    type: 'array',
    minItems: 1,
    uniqueItems: true,
    items: { type: 'string', enum: ['TLSv1.2', 'TLSv1.3'] },
    description: 'TLS versions; both if not given.',
  },
  connect_timeout: {
    type: 'integer',
    minimum: 1,
    description: 'Milliseconds until a connection stands, handshake included; 2000 if not given.',
  },
  timeout: {
    type: 'integer',
    minimum: 1,
    description: 'Milliseconds for a whole request, connecting and retries included; 3000 if not given.',
  },
  keepalive: { type: 'boolean', description: 'Keep connections for later requests; done if not given.' },
  keepalive_timeout: {
    type: 'integer',
    minimum: 1000,
    description: 'Milliseconds that an idle connection is kept; 60000 if not given.',
  },
  keepalive_pool: {
    type: 'integer',
    minimum: 1,
    description: 'Idle connections that are kept for each server, in each worker; 5 if not given.',
  },
  retries: {
    type: 'integer',
    minimum: 0,
    maximum: 10,
    description: 'How often a request is sent again where that is safe; once if not given.',
  },
  max_response_body: {
    type: 'integer',
    minimum: 0,
    description: 'Bytes that a response’s body may have; 1048576 if not given.',
  },
} satisfies Record<string, JsonSchema>;

/** For a plugin's `encrypt_fields`, beside its own. */
export const httpClientSecretFields: readonly string[] = ['ssl_key'];
