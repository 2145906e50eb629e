/** ssl: a certificate and the server names it answers for (APISIX: admin-api, SSL). */
import type { JsonSchema, ResourceFields } from './resource.ts';
import { certificateSchema, commonProperties, privateKeySchema } from './schema-definitions.ts';

export interface Ssl extends ResourceFields {
  cert?: string;
  key?: string;
  certs?: string[];
  keys?: string[];
  sni?: string;
  snis?: string[];
  client?: { ca?: string; depth?: number; skip_mtls_uri_regex?: string[] };
  status?: 0 | 1;
  type?: 'server' | 'client';
  ssl_protocols?: string[];
}

const sni: JsonSchema = { type: 'string', pattern: '^\\*?[0-9a-zA-Z-.]+$' };

export const sslSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    type: { description: 'ssl certificate type', type: 'string', enum: ['server', 'client'], default: 'server' },
    cert: certificateSchema,
    key: privateKeySchema,
    certs: { type: 'array', items: certificateSchema },
    keys: { type: 'array', items: privateKeySchema },
    sni,
    snis: { type: 'array', items: sni, minItems: 1 },
    client: {
      type: 'object',
      properties: {
        ca: certificateSchema,
        depth: { type: 'integer', minimum: 0, default: 1 },
        skip_mtls_uri_regex: {
          type: 'array',
          minItems: 1,
          uniqueItems: true,
          items: { description: 'uri regular expression to skip mtls', type: 'string' },
        },
      },
      required: ['ca'],
    },
    status: { description: 'ssl status, 1 to enable, 0 to disable', type: 'integer', enum: [1, 0], default: 1 },
    ssl_protocols: {
      description: 'set ssl protocols',
      type: 'array',
      maxItems: 3,
      uniqueItems: true,
      items: { enum: ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] },
    },
    validity_start: { type: 'integer' },
    validity_end: { type: 'integer' },
  },
  if: { properties: { type: { enum: ['server'] } } },
  then: { oneOf: [{ required: ['sni', 'key', 'cert'] }, { required: ['snis', 'key', 'cert'] }] },
  else: { required: ['key', 'cert'] },
  additionalProperties: false,
};

/** The names it answers for, lower case. Of an item that may not have passed its schema: what is no text is left out. */
export function serverNames({ sni, snis }: Ssl): string[] {
  const names: unknown[] = [sni, ...(Array.isArray(snis) ? snis : [])];
  return names.filter((name) => typeof name === 'string').map((name) => name.toLowerCase());
}

/** It may not have passed its schema: whatever stands there was meant to protect. */
export function asksForClientCertificates(ssl: Ssl): boolean {
  return ssl.client !== undefined && ssl.type !== 'client' && ssl.status !== 0;
}

/** Whether the last good value of an item may go on in the place of one that cannot be used: it lets nobody pass that the other meant to stop. */
export function covers(good: Ssl, unusable: Ssl): boolean {
  if (!asksForClientCertificates(unusable)) return true;
  const names = new Set(serverNames(good));
  return asksForClientCertificates(good) && serverNames(unusable).every((name) => names.has(name));
}
