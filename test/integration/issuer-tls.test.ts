/** jwt-auth and an issuer behind a private authority that asks who it is: `ssl_ca`, `ssl_cert`, `ssl_key`. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { compilePlugin, TestExchange } from '../../src/plugin/testing/index.ts';
import { jwtAuth } from '../../src/plugins/jwt-auth/index.ts';
import { createAuthority, type Authority, type Certificate } from '../certificates.ts';

describe('an issuer by mutual TLS', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one' }] }));
  });
  let authority: Authority;
  let client: Certificate;
  let url: string;
  before(async () => {
    authority = await createAuthority('Private CA');
    client = await authority.issue({ names: ['gateway'] });
    const own = await authority.issue({ names: ['localhost'] });
    server.setSecureContext({ cert: own.cert, key: own.key, ca: authority.cert });
    Object.assign(server, { requestCert: true, rejectUnauthorized: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `https://localhost:${(server.address() as AddressInfo).port}/jwks`;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  /** Status of one request with a token of the issuer; 200: it passes. */
  async function statusWith(config: object): Promise<number> {
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const input = `${encode({ alg: 'RS256', kid: 'one' })}.${encode({ sub: 'a' })}`;
    const token = `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`;
    const { state } = compilePlugin(jwtAuth, { jwks_uri: url, ...config });
    try {
      const reply = await jwtAuth.rewrite?.(state, new TestExchange({ headers: { Authorization: token } }));
      return reply === undefined ? 200 : reply.status;
    } catch (error) {
      return (error as { status: number }).status;
    } finally {
      jwtAuth.dispose?.(state);
    }
  }

  it('is asked with the certificates that are configured, and trusted by them', async () => {
    const tls = { ssl_ca: authority.cert, ssl_cert: client.cert, ssl_key: client.key };
    assert.equal(await statusWith(tls), 200);
  });

  it('is 503 where its authority is unknown, its name another, or the client certificate missing', async () => {
    const tls = { ssl_ca: authority.cert, ssl_cert: client.cert, ssl_key: client.key };
    assert.equal(await statusWith({ ...tls, ssl_ca: client.cert }), 503);
    assert.equal(await statusWith({ ssl_cert: client.cert, ssl_key: client.key }), 503);
    assert.equal(await statusWith({ ...tls, ssl_server_name: 'elsewhere' }), 503);
    assert.equal(await statusWith({ ssl_ca: authority.cert }), 503);
  });

  it('is refused when it is written with a damaged certificate', () => {
    const damaged = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    assert.throws(() => compilePlugin(jwtAuth, { jwks_uri: url, ssl_ca: damaged }), /ssl_ca/);
  });
});
