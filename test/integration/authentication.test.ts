/** Auth plugins in a real gateway with two workers: what only shows across sockets, threads and the Admin API. */
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, hash, sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function hs256(payload: object, secret: string | Buffer, header: object = { alg: 'HS256' }): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

function hmacHeaders(target: string, more: Record<string, string> = {}, method = 'GET'): Record<string, string> {
  const headers: Record<string, string> = { Date: new Date().toUTCString(), ...more };
  const listed = ['@request-target', ...Object.keys(headers).map((name) => name.toLowerCase())];
  const lines = Object.entries(headers).map(([name, value]) => `${name.toLowerCase()}: ${value}`);
  const text = ['hannah-key', `${method} ${target}`, ...lines].join('\n');
  const signature = createHmac('sha256', 'hannah-secret').update(`${text}\n`).digest('base64');
  headers['Authorization'] =
    `Signature keyId="hannah-key",algorithm="hmac-sha256",headers="${listed.join(' ')}",signature="${signature}"`;
  return headers;
}

describe('authentication', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway();
    for (const [username, plugins] of Object.entries({
      jack: { 'jwt-auth': { key: 'jack-key', secret: 'jack-secret' } },
      rosa: { 'jwt-auth': { key: 'rosa-key', algorithm: 'RS256', public_key: pem } },
      hannah: { 'hmac-auth': { key_id: 'hannah-key', secret_key: 'hannah-secret' } },
      keeper: { 'key-auth': { key: 'keeper-key' } },
    })) {
      const labels = { team: username === 'keeper' ? 'platform' : 'sales' };
      const { status } = await gateway.admin('PUT', '/consumers', { username, plugins, labels });
      assert.equal(status, 201, username);
    }
    await putRoute('jwt', { 'jwt-auth': {} });
    await putRoute('hmac', { 'hmac-auth': { validate_request_body: true, max_req_body_size: 1000 } });
    await putRoute('once', { 'hmac-auth': { replay_protection: true } });
    await putRoute('any', {
      'multi-auth': { auth_plugins: [{ 'key-auth': { hide_credentials: true } }, { 'jwt-auth': {} }] },
      'attach-consumer-label': { headers: { 'X-Team': '$team' } },
    });
    await putRoute('platform', { 'key-auth': {}, acl: { allow_labels: { team: ['platform'] } } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  async function putRoute(id: string, plugins: object): Promise<void> {
    const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}*`,
      plugins,
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.ok(status < 300, JSON.stringify(body));
  }

  it('HS256 signed with the RSA public key is 401 on every worker (CVE-2026-39999)', async () => {
    for (let i = 0; i < 8; i++) {
      const forged = await request(gateway, '/jwt', { Authorization: hs256({ key: 'rosa-key' }, pem) });
      assert.equal(forged.status, 401);
      assert.equal(forged.headers['www-authenticate'], 'Bearer realm="jwt"');
    }
  });

  it('a consumer that is deleted is known to no worker, whatever token was verified before', async () => {
    const { status } = await gateway.admin('PUT', '/consumers', {
      username: 'brief',
      plugins: { 'jwt-auth': { key: 'brief-key', secret: 's' } },
    });
    assert.equal(status, 201);
    const headers = { Authorization: hs256({ key: 'brief-key' }, 's') };
    for (let i = 0; i < 8; i++) assert.equal((await request(gateway, '/jwt', headers)).status, 200);
    await gateway.admin('DELETE', '/consumers/brief');
    for (let i = 0; i < 8; i++) {
      const response = await request(gateway, '/jwt', headers);
      assert.equal(response.body, '{"message":"Invalid user key in JWT token"}\n');
    }
  });

  it('a signed body passes, a changed one does not, and one beyond the bound is 413', async () => {
    const digest = (body: string): string => `SHA-256=${hash('sha256', body, 'base64')}`;
    const send = (body: string, signed: string) => {
      const headers = hmacHeaders('/hmac', { Digest: digest(signed) }, 'POST');
      return request(gateway, '/hmac', headers, { method: 'POST', body });
    };
    assert.equal((await send('hello', 'hello')).status, 200);
    assert.equal(upstream.requests.at(-1)?.body, 'hello');
    assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'hannah');
    const seen = upstream.requests.length;
    assert.equal((await send('hullo', 'hello')).status, 401);
    const long = 'x'.repeat(1001);
    assert.equal((await send(long, long)).status, 413);
    assert.equal(upstream.requests.length, seen);
  });

  it('a nonce passes once, whichever worker sees it again', async () => {
    const headers = hmacHeaders('/once', { 'X-Nonce': 'n-1' });
    const answers = await Promise.all(Array.from({ length: 16 }, () => request(gateway, '/once', headers)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array<number>(15).fill(401)]);
  });

  it('a mismatch leaves the string to sign in the log, without the secret', async () => {
    const { Authorization = '', ...rest } = hmacHeaders('/once?token=abc', { 'X-Nonce': 'n-2' });
    const changed = Authorization.replace(/signature="..../, 'signature="AAAA');
    const response = await request(gateway, '/once?token=abc', { ...rest, Authorization: changed });
    assert.equal(response.body, '{"message":"client request can\'t be validated"}\n');
    const deadline = Date.now() + 5000;
    while (!gateway.output().includes('string to sign') && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.match(gateway.output(), /string to sign: .*hannah-key.*GET \/once\?token=\*\*\*/);
    assert.doesNotMatch(gateway.output(), /hannah-secret|token=abc/);
  });

  it('explain tells the string to sign of a mismatch, too', async () => {
    const headers = hmacHeaders('/once?token=abc', { 'X-Nonce': 'n-3' });
    const url = `${gateway.url}/once?token=abd`;
    const response = await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/explain`, {
      method: 'POST',
      body: JSON.stringify({ method: 'GET', url, headers: Object.entries(headers) }),
    });
    const report = (await response.json()) as { outcome: { reason: string; detail: string } };
    assert.equal(report.outcome.reason, 'hmac-auth.bad_signature');
    assert.match(report.outcome.detail, /GET \/once\?token=\*\*\*/);
    assert.doesNotMatch(JSON.stringify(report), /hannah-secret|token=ab/);
  });

  it('multi-auth is stored with its members’ defaults', async () => {
    const { body } = await gateway.admin('GET', '/routes/any');
    const { plugins } = body['value'] as { plugins: { 'multi-auth': { auth_plugins: Record<string, object>[] } } };
    const [first, second] = plugins['multi-auth'].auth_plugins;
    assert.equal((first?.['key-auth'] as { header: string }).header, 'apikey');
    assert.equal((second?.['jwt-auth'] as { header: string }).header, 'authorization');
  });

  it('multi-auth lets in by either, hides what was tried, and labels go upstream with no value of the client', async () => {
    const token = hs256({ key: 'jack-key' }, 'jack-secret');
    const byKey = await request(gateway, '/any', { apikey: 'keeper-key', 'X-Team': 'admin' });
    assert.equal(byKey.status, 200);
    assert.equal(upstream.requests.at(-1)?.headers['x-team'], 'platform');
    assert.equal(upstream.requests.at(-1)?.headers['apikey'], undefined);
    const byToken = await request(gateway, '/any?apikey=wrong&a=1', { Authorization: token });
    assert.equal(byToken.status, 200);
    assert.equal(upstream.requests.at(-1)?.url, '/any?a=1');
    assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'jack');
    const neither = await request(gateway, '/any', { apikey: 'wrong' });
    assert.equal(neither.status, 401);
    assert.equal(neither.body, '{"message":"Authorization Failed"}\n');
  });

  it('multi-auth is refused when written where a member is', async () => {
    for (const [plugins, message] of [
      [[{ 'key-auth': {} }, { nothing: {} }], /unknown plugin \[nothing\]/],
      [[{ 'key-auth': {} }, { 'jwt-auth': { header: 7 } }], /jwt-auth/],
      [[{ 'key-auth': {} }, { prometheus: {} }], /prometheus plugin is not supported/],
    ] as const) {
      const { status, body } = await gateway.admin('PUT', '/routes/wrong', {
        uri: '/wrong',
        plugins: { 'multi-auth': { auth_plugins: plugins } },
      });
      assert.equal(status, 400);
      assert.match(String(body['error_msg']), message);
    }
  });

  it("an issuer's token needs no consumer, brings its consumer group's plugins, and is judged by acl", async () => {
    await using issuer = await startUpstream((_, response) => {
      response.end(JSON.stringify({ keys: [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: 'one' }] }));
    });
    const gold = { plugins: { 'response-rewrite': { headers: { set: { 'X-Group': 'gold' } } } } };
    assert.equal((await gateway.admin('PUT', '/consumer_groups/gold', gold)).status, 201);
    const jwks = { jwks_uri: `http://${issuer.node}/jwks`, issuer: 'https://id', audience: 'api' };
    await putRoute('outside', { 'jwt-auth': jwks, acl: { allow_labels: { groups: ['staff'] } } });
    await putRoute('grouped', { 'jwt-auth': { ...jwks, group_claim: 'groups', groups: { staff: 'gold' } } });
    const token = (payload: object): Record<string, string> => {
      const claims = { iss: 'https://id', aud: 'api', exp: Math.floor(Date.now() / 1000) + 60, ...payload };
      const input = `${encode({ alg: 'RS256', kid: 'one' })}.${encode(claims)}`;
      const signature = sign('sha256', Buffer.from(input), rsa.privateKey).toString('base64url');
      return { Authorization: `Bearer ${input}.${signature}` };
    };
    const staff = token({ sub: 'u-1', groups: ['staff'] });
    const forged = { ...staff, 'X-Consumer-Username': 'jack', 'X-Consumer-Custom-ID': 'root' };
    for (let i = 0; i < 8; i++) {
      assert.equal((await request(gateway, '/outside', forged)).status, 200);
      assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], undefined);
      assert.equal((await request(gateway, '/outside', token({ groups: ['guests'] }))).status, 403);
      const grouped = await request(gateway, '/grouped', forged);
      assert.equal(grouped.headers['x-group'], 'gold');
      assert.equal(upstream.requests.at(-1)?.headers['x-consumer-custom-id'], 'u-1');
      assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'group:gold');
      assert.equal((await request(gateway, '/grouped', token({ aud: 'web', groups: ['staff'] }))).status, 401);
    }
    // Each of the two workers asked once, for both routes.
    assert.ok(issuer.requests.length <= 2);
  });

  it('an issuer that cannot be reached is 503, and nothing goes upstream', async () => {
    await putRoute('unreachable', { 'jwt-auth': { jwks_uri: 'http://127.0.0.1:1/jwks' } });
    const seen = upstream.requests.length;
    const input = `${encode({ alg: 'RS256' })}.${encode({})}`;
    const response = await request(gateway, '/unreachable', { Authorization: `${input}.AAAA` });
    assert.equal(response.status, 503);
    assert.equal(upstream.requests.length, seen);
  });

  it('acl lets in by label', async () => {
    assert.equal((await request(gateway, '/platform', { apikey: 'keeper-key' })).status, 200);
    assert.equal((await request(gateway, '/platform')).status, 401);
    await gateway.admin('PUT', '/consumers', {
      username: 'keeper',
      plugins: { 'key-auth': { key: 'keeper-key' } },
      labels: { team: 'sales' },
    });
    const refused = await request(gateway, '/platform', { apikey: 'keeper-key' });
    assert.equal(refused.status, 403);
    assert.equal(refused.body, '{"message":"The consumer is forbidden."}\n');
  });
});
