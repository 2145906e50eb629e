/** ssl: a certificate and the server names it answers for (APISIX: admin-api, SSL). */
import type { ResourceFields } from './resource.ts';

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
