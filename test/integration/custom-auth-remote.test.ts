/** custom-auth with functions that are elsewhere: any URL, with mutual TLS, and two clouds. */
import assert from 'node:assert/strict';
import { createServer as createTlsServer, type Server } from 'node:https';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server as PlainServer, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { TLSSocket } from 'node:tls';
import { createCertificate, type Certificate } from '../certificates.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { awsKeys, startCloud, tencentKeys, type TestCloud } from '../services/cloud.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

/** JSON that an assertion looks into. */
type Parsed = ReturnType<typeof JSON.parse>;

const base = { cache_time: 0, endpoint_timeout: 5, is_send_body: false };

describe('custom-auth with functions that are elsewhere', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let cloud: TestCloud;
  let server: Server;
  let plain: PlainServer;
  let own: Certificate;
  let client: Certificate;
  const asked: { path: string; headers: IncomingMessage['headers']; event: Parsed; peer: string }[] = [];
  /** The function, by the URL's path. */
  const answer = (path: string, event: Parsed, response: ServerResponse): void => {
    switch (path) {
      case '/hang':
        return;
      case '/garbage':
        response.end('<html>');
        break;
      case '/large':
        response.end(`{"api-auth":true,"x":"${'x'.repeat(2_000_000)}"}`);
        break;
      case '/reset':
        response.socket?.destroy();
        break;
      default:
        if (path.startsWith('/status/')) response.writeHead(Number(path.slice(8))).end('{"api-auth":true}');
        else response.end(JSON.stringify({ 'api-auth': event.headers.token === 'good' }));
    }
  };
  const listener: RequestListener = (incoming, response) => {
    const pieces: Buffer[] = [];
    incoming.on('data', (piece: Buffer) => pieces.push(piece));
    incoming.on('end', () => {
      const event = JSON.parse(Buffer.concat(pieces).toString());
      const peer = incoming.socket instanceof TLSSocket ? incoming.socket.getPeerCertificate().subject.CN : undefined;
      asked.push({ path: incoming.url ?? '', headers: incoming.headers, event, peer: String(peer) });
      answer(incoming.url ?? '', event, response);
    });
  };
  before(async () => {
    [upstream, cloud, gateway, own, client] = await Promise.all([
      startUpstream(),
      startCloud(),
      startGateway(),
      createCertificate('127.0.0.1', 'localhost'),
      createCertificate('gateway.example'),
    ]);
    server = createTlsServer({ ...own, ca: client.cert, requestCert: true, rejectUnauthorized: true }, listener);
    plain = createServer(listener);
    await Promise.all([
      once(server.listen(0, '127.0.0.1'), 'listening'),
      once(plain.listen(0, '127.0.0.1'), 'listening'),
    ]);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await cloud[Symbol.asyncDispose]();
    for (const one of [server, plain]) {
      one.closeAllConnections();
      one.close();
    }
  });
  const portOf = (one: { address(): unknown }): number => (one.address() as { port: number }).port;
  const plainUrl = (path: string): string => `http://127.0.0.1:${String(portOf(plain))}${path}`;

  let routes = 0;
  async function write(config: object): Promise<{ status: number; path: string; message: string }> {
    const id = `r${String(++routes)}`;
    const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}/*`,
      plugins: { 'custom-auth': { ...base, ...config } },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    return { status, path: `/${id}/a`, message: String(body['error_msg']) };
  }
  async function route(config: object): Promise<string> {
    const { status, path, message } = await write(config);
    assert.ok(status < 300, message);
    return path;
  }
  const get = (path: string, headers: Record<string, string | string[]> = {}): Promise<TextResponse> =>
    request(gateway, path, headers);

  it('asks a URL, with the headers that are configured, over mutual TLS', async () => {
    const tls = { ssl_cert: client.cert, ssl_key: client.key, ssl_ca: own.cert };
    const uri = `https://127.0.0.1:${String(portOf(server))}/verify`;
    const path = await route({ function: { type: 'http', uri, headers: { Authorization: 'Bearer s3cret' }, ...tls } });
    assert.equal((await get(path, { token: 'good' })).status, 200);
    assert.equal((await get(path, { token: 'bad' })).status, 401);
    const last = asked.at(-1);
    assert.equal(last?.headers.authorization, 'Bearer s3cret');
    assert.equal(last.headers['content-type'], 'application/json');
    assert.equal(last.peer, 'test');
    // Without the certificate, or with another authority, nobody passes.
    for (const without of [{ ssl_ca: own.cert }, { ...tls, ssl_ca: client.cert }])
      assert.equal(
        (await get(await route({ function: { type: 'http', uri, ...without } }), { token: 'good' })).status,
        503,
      );
    const shown = JSON.stringify((await gateway.admin('GET', `/routes/r${String(routes - 2)}`)).body);
    assert.doesNotMatch(shown, /s3cret|BEGIN [A-Z ]*PRIVATE KEY/);
    assert.doesNotMatch(gateway.output(), /s3cret|PRIVATE KEY/);
  });

  it('refuses what is not 2xx, not JSON, too long, late, broken off or not there', async () => {
    for (const [path, status] of [
      ['/status/200', 200],
      ['/status/201', 200],
      ['/status/401', 401],
      ['/status/403', 401],
      ['/status/302', 503],
      ['/status/404', 503],
      ['/status/500', 503],
      ['/garbage', 503],
      ['/large', 503],
      ['/reset', 503],
    ] as const) {
      const answered = await get(await route({ function: { type: 'http', uri: plainUrl(path) } }), { token: 'good' });
      assert.equal(answered.status, status, path);
    }
    assert.equal(
      (await get(await route({ endpoint_timeout: 1, function: { type: 'http', uri: plainUrl('/hang') } }))).status,
      503,
    );
    assert.equal((await get(await route({ function: { type: 'http', uri: 'http://127.0.0.1:1/' } }))).status, 503);
    const bearer = await route({
      challenge: 'Bearer realm="shop", error="invalid_token"',
      function: { type: 'http', uri: plainUrl('/v') },
    });
    assert.equal(
      (await get(bearer, { token: 'bad' })).headers['www-authenticate'],
      'Bearer realm="shop", error="invalid_token"',
    );
    const other = await route({
      rejected_code: 418,
      rejected_msg: 'no tea',
      function: { type: 'http', uri: plainUrl('/v') },
    });
    const refused = await get(other, { token: 'bad' });
    assert.equal(refused.status, 418);
    assert.equal(refused.headers['www-authenticate'], undefined);
    assert.equal(refused.body, '{"message":"no tea"}\n');
  });

  it('keeps no failure', async () => {
    const kept = { cache_time: 60, header_auth_parameters: ['token'] };
    const path = await route({ ...kept, function: { type: 'http', uri: plainUrl('/status/500') } });
    const before = asked.length;
    for (let i = 0; i < 3; i++) assert.equal((await get(path, { token: 'good' })).status, 503);
    assert.equal(asked.length - before, 3);
  });

  it("invokes Tencent Cloud's functions, signed TC3-HMAC-SHA256", async () => {
    const where = { type: 'tencent-scf', region: 'ap-guangzhou', endpoint: cloud.url };
    const named = { func_namespace: 'ns', func_name: 'verify', func_qualifier: '$LATEST' };
    const right = { ...where, secret_id: tencentKeys.id, secret_key: tencentKeys.key };
    const path = await route({ ...named, function: right });
    assert.equal((await get(`${path}?q=1`, { token: 'good' })).status, 200);
    const { event = {}, ...invoked } = cloud.invocations.at(-1) ?? {};
    assert.deepEqual(invoked, { name: 'verify', namespace: 'ns', qualifier: '$LATEST' });
    assert.equal(event.queryString.q, '1');
    assert.equal((await get(path, { token: 'bad' })).status, 401);
    assert.equal((await get(path, { token: 'throws' })).status, 503);
    assert.deepEqual(cloud.refusals, []);
    const wrong = await route({ ...named, function: { ...right, secret_key: 'another' } });
    assert.equal((await get(wrong, { token: 'good' })).status, 503);
    assert.deepEqual(cloud.refusals.splice(0), ['signature']);
  });

  it('invokes AWS Lambda functions, signed SigV4, by name and by ARN', async () => {
    const right = {
      type: 'aws-lambda',
      region: 'eu-west-1',
      endpoint: cloud.url,
      access_key_id: awsKeys.id,
      secret_access_key: awsKeys.key,
    };
    for (const name of ['verify', 'arn:aws:lambda:eu-west-1:123456789012:function:verify']) {
      const path = await route({ func_name: name, func_qualifier: '$LATEST', function: right });
      assert.equal((await get(path, { token: 'good' })).status, 200, JSON.stringify(cloud.refusals));
      const { event: _event, ...invoked } = cloud.invocations.at(-1) ?? {};
      assert.deepEqual(invoked, { name, namespace: undefined, qualifier: '$LATEST' });
      assert.equal((await get(path, { token: 'bad' })).status, 401);
      // Its body says true: it is the failure that counts.
      assert.equal((await get(path, { token: 'throws' })).status, 503);
    }
    const wrong = { ...right, secret_access_key: 'another' };
    const path = await route({ func_name: 'verify', func_qualifier: '1', function: wrong });
    assert.equal((await get(path, { token: 'good' })).status, 503);
    assert.deepEqual(cloud.refusals.splice(0), ['signature']);
  });

  it('shows no secret of a cloud', async () => {
    const { path } = await write({
      func_name: 'f',
      func_namespace: 'n',
      func_qualifier: '1',
      function: { type: 'tencent-scf', region: 'r', secret_id: 'id', secret_key: 'tell-nobody', token: 'nor-this' },
    });
    const { body } = await gateway.admin('GET', `/routes/${path.split('/')[1] ?? ''}`);
    assert.doesNotMatch(JSON.stringify(body), /tell-nobody|nor-this/);
  });

  it('refuses bad configuration when it is written', async () => {
    const named = { func_namespace: 'ns', func_name: 'f', func_qualifier: '$LATEST' };
    for (const [field, config] of [
      ['func_name', { func_namespace: 'ns', func_qualifier: '1' }],
      ['func_namespace', { func_name: 'f', func_qualifier: '1' }],
      ['func_qualifier', { func_namespace: 'ns', func_name: 'f' }],
      ['func_name', { ...named, func_name: '../f' }],
      ['header_auth_parameters', { ...named, cache_time: 1 }],
      ['cache_time', { ...named, cache_time: 3601, header_auth_parameters: ['a'] }],
      ['cache_time', { ...named, cache_time: -1 }],
      ['cache_time', { ...named, cache_time: undefined }],
      ['endpoint_timeout', { ...named, endpoint_timeout: 1801 }],
      ['endpoint_timeout', { ...named, endpoint_timeout: undefined }],
      ['is_send_body', { ...named, is_send_body: undefined }],
      ['is_send_body', { ...named, is_send_body: 'Yes' }],
      ['version', { ...named, version: 'yesterday' }],
      ['uri', { function: { type: 'http' } }],
      ['uri', { ...named, function: { type: 'module', uri: 'http://a' } }],
      ['secret_key', { ...named, function: { type: 'tencent-scf', region: 'r', secret_id: 'i' } }],
      ['access_key_id', { ...named, function: { type: 'aws-lambda', region: 'r', secret_access_key: 'k' } }],
      ['ssl_key', { function: { type: 'http', uri: 'https://a', ssl_cert: client.cert } }],
      ['additional properties forbidden', { function: { type: 'http', uri: 'https://a', sslverify: false } }],
      ['upstream_headers', { ...named, upstream_headers: ['Host'] }],
      ['challenge', { ...named, challenge: 'Bearer a\r\nX-Forged: 1' }],
      ['challenge', { ...named, challenge: '' }],
    ] as const) {
      const { status, message } = await write(config);
      assert.equal(status, 400, JSON.stringify(config));
      assert.match(message, new RegExp(field));
    }
  });
});
