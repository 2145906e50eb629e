/**
 * Who may use the Admin API: the address must be in allow_admin, the key must be known, and a viewer may only read.
 * Runs before every route of the server, also before the answer that there is no such route. Keys are compared by
 * digest in constant time; neither keys nor queries reach the log.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { compileAddressMatcher } from '../address/cidr.ts';
import type { PluginLog } from '../plugin/plugin.ts';
import type { Origin } from '../store/store.ts';
import { AdminError } from './admin-error.ts';

export interface AdminKey {
  readonly name: string;
  readonly key: string;
  readonly role: 'admin' | 'viewer';
  /** Known to this process alone, which then asks itself: the request comes from no address. */
  readonly local?: boolean;
}

export interface AuthOptions {
  readonly keys: readonly AdminKey[];
  /** false: no key is asked for (deployment.admin.admin_key_required). */
  readonly keyRequired: boolean;
  /** Addresses and CIDR blocks of deployment.admin.allow_admin; empty: everyone. */
  readonly allowAdmin: readonly string[];
  readonly log: PluginLog;
}

/** The key of each request that was let in. */
const admitted = new WeakMap<FastifyRequest, AdminKey>();
const nobody: AdminKey = { name: '', key: '', role: 'admin' };

/** With which key the request came; where none is asked for, one without a name and with every right. */
export function adminKeyOf(request: FastifyRequest): AdminKey {
  return admitted.get(request) ?? nobody;
}

/** What the history says of a request's change; the name of its key, never the key. `action`: default: its method. */
export function originOf(request: FastifyRequest, action: string = request.method): Origin {
  const { name, local } = adminKeyOf(request);
  const address = local === true ? undefined : request.socket.remoteAddress;
  return { who: name === '' ? 'no key' : name, address, action };
}

export function registerAuth(server: FastifyInstance, options: AuthOptions): void {
  const allowed = options.allowAdmin.length > 0 ? compileAddressMatcher(options.allowAdmin) : () => true;
  const keys = options.keys.filter(({ key }) => key !== '').map((key) => ({ ...key, digest: digest(key.key) }));

  server.addHook('onRequest', (request, _reply, done) => {
    const { log } = options;
    if (!allowed(request.socket.remoteAddress ?? '')) {
      log.warn('admin request from an address that is not in allow_admin', { address: request.socket.remoteAddress });
      done(new AdminError(403, '403 Forbidden'));
      return;
    }
    const found = options.keyRequired ? judge(request, keys) : nobody;
    if ('refused' in found) {
      const description = found.refused;
      log.warn('failed to check token', { reason: description, address: request.socket.remoteAddress });
      done(new AdminError(401, 'failed to check token', { description }));
      return;
    }
    admitted.set(request, found);
    done();
  });
}

function judge(
  request: FastifyRequest,
  keys: readonly (AdminKey & { digest: Buffer })[],
): AdminKey | { readonly refused: string } {
  const token = presentedToken(request);
  if (token === undefined || token === '') return { refused: 'missing apikey' };
  const presented = digest(token);
  let found: AdminKey | undefined;
  // Every key is compared, so that the time tells neither whether nor which one matched.
  for (const key of keys) if (timingSafeEqual(key.digest, presented)) found ??= key;
  if (!found) return { refused: 'wrong apikey' };
  if (found.role === 'viewer' && request.method !== 'GET') return { refused: 'invalid method for role viewer' };
  return found;
}

/** As APISIX: the argument, then the header, then the cookie. */
function presentedToken(request: FastifyRequest): string | undefined {
  const query = new URLSearchParams(request.url.split('?', 2)[1] ?? '');
  return query.get('api_key') ?? single(request.headers['x-api-key']) ?? cookieToken(request);
}

/** APISIX: takes the cookie from any page; here a browser that says another site sent the request is not believed (CSRF). */
function cookieToken(request: FastifyRequest): string | undefined {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return undefined;
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [name, value] = pair.trim().split('=', 2);
    if (name?.toLowerCase() === 'x_api_key') return value;
  }
  return undefined;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
