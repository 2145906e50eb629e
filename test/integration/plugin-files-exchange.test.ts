/** What a plugin file reads of a request and changes in it, through a whole gateway: the parts of the exchange, the body, its reply. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { put, putRoute } from '../resources.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const plugin = (name: string, priority: number, members: string): string => `
import { definePlugin, reply, type Exchange } from 'gatewright/plugin';
export default definePlugin({ name: '${name}', priority: ${priority}, schema: { type: 'object' }, ${members} });
`;

const files = {
  // After authentication.
  'plugins/tells.ts': plugin(
    'tells',
    100,
    `access: (_config, exchange) => reply(200, {
      method: exchange.method, path: exchange.path, query: exchange.query, target: exchange.target, scheme: exchange.scheme,
      host: exchange.host, version: exchange.httpVersion, arguments: [exchange.arg('a'), exchange.arg('b'), exchange.arg('c')],
      cookies: [exchange.cookie('one'), exchange.cookie('none')],
      fields: [exchange.headers.get('x-many'), exchange.headers.getAll('X-MANY'), exchange.headers.has('x-none')],
      address: exchange.remoteAddress, peer: exchange.peerAddress, certificate: exchange.clientCertificate ?? 'none',
      consumer: [exchange.consumer?.username, exchange.consumer?.labels, exchange.consumer?.credentialId],
      variables: ['uri', 'arg_a', 'http_x_many', 'cookie_one', 'consumer_name', 'request_method', 'remote_addr', 'route_id']
        .map((name) => exchange.variable(name)),
      route: [exchange.route?.id, exchange.route?.name], params: [...exchange.params],
    }, { headers: { 'X-From': 'tells' } }),`,
  ),
  'plugins/reads-json.ts': plugin(
    'reads-json',
    100,
    `async access(_config, exchange) {
      const order = await exchange.json(64);
      return reply(200, { read: order === undefined ? 'nothing' : order });
    },`,
  ),
  'plugins/bounded.ts': plugin(
    'bounded',
    100,
    `async access(_config, exchange) {
      const body = await exchange.body(8);
      exchange.replaceBody(Buffer.concat([body, body]));
      exchange.headers.set('X-Length', String(body.length));
    },`,
  ),
  'plugins/hears.ts': `
    import { createHash, type Hash } from 'node:crypto';
    ${plugin(
      'hears',
      100,
      `access(_config, exchange) {
        const hash: Hash = createHash('sha256');
        exchange.observeBody((piece) => void hash.update(piece));
        exchange.context.set('hears', hash);
      },
      headerFilter(_config, exchange) {
        exchange.response.headers.set('X-Digest', (exchange.context.get('hears') as Hash).digest('hex'));
      },`,
    )}`,
  'plugins/moves.ts': plugin(
    'moves',
    100,
    `rewrite(_config, exchange) {
      Object.assign(exchange.upstream, { method: 'PUT', path: '/elsewhere', query: 'q=1', host: 'inside.example' });
      exchange.headers.set('X-Set', 'by moves');
      exchange.headers.remove('X-Gone');
    },
    headerFilter(_config, exchange) {
      const { response } = exchange;
      response.headers.set('X-Seen', \`\${response.status} \${response.source} \${response.headers.get('content-type')}\`);
      response.status = 202;
    },`,
  ),
};

describe('the exchange of a plugin file', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({
      settings: { plugin_dirs: ['plugins'], apisix: { router: { http: 'radixtree_uri_with_parameter' } } },
      files,
    });
    for (const name of ['reads-json', 'bounded', 'hears', 'moves'])
      await putRoute(gateway, upstream, name, { [name]: {} });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    request(gateway, path, headers, { method: 'POST', body });

  it('has method, path, query, arguments, fields, cookies, address, consumer, variables, route and parameters', async () => {
    await put(gateway, '/consumers', { username: 'ann', labels: { team: 'red' } });
    await put(gateway, '/consumers/ann/credentials/c1', { plugins: { 'key-auth': { key: 'anns' } } });
    await put(gateway, '/routes/tells', {
      name: 'telling',
      uri: '/tells/:what',
      plugins: { 'key-auth': {}, tells: {} },
    });
    const { status, headers, body } = await request(
      gateway,
      '/tells//th%69s?a=1%202&b&a=3',
      {
        Host: 'A.Example:80',
        apikey: 'anns',
        Cookie: 'one=1; two=2',
        'X-Many': ['first', 'second'],
        'X-Forwarded-For': '1.2.3.4',
      },
      { method: 'DELETE' },
    );
    assert.deepEqual([status, headers['x-from']], [200, 'tells']);
    assert.deepEqual(JSON.parse(body), {
      method: 'DELETE',
      path: '/tells/this',
      query: 'a=1%202&b&a=3',
      target: '/tells//th%69s?a=1%202&b&a=3',
      scheme: 'http',
      host: 'a.example',
      version: '1.1',
      arguments: ['1 2', '', null],
      cookies: ['1', null],
      fields: ['first', ['first', 'second'], false],
      address: '127.0.0.1',
      peer: '127.0.0.1',
      certificate: 'none',
      consumer: ['ann', { team: 'red' }, 'c1'],
      variables: ['/tells/this', '1 2', 'first, second', '1', 'ann', 'DELETE', '127.0.0.1', 'tells'],
      route: ['tells', 'telling'],
      params: [['what', 'this']],
    });
  });

  it('json(): the body, or undefined where there is none', async () => {
    for (const json of ['{"items":[1,"zwei",null]}', '"text"', '0', 'false'])
      assert.deepEqual(JSON.parse((await post('/reads-json', json)).body), { read: JSON.parse(json) });
    assert.deepEqual(JSON.parse((await post('/reads-json', '')).body), { read: 'nothing' });
    assert.deepEqual(JSON.parse((await request(gateway, '/reads-json')).body), { read: 'nothing' });
  });

  it('json(): what is no JSON is 400, also where parsers read it differently; nothing of it is told', async () => {
    for (const body of ['{"items":', 'order', '{"secret":1,"secret":2}', '{"a":1}x', Buffer.from([0x22, 0xff, 0x22])]) {
      const answer = await request(gateway, '/reads-json', {}, { method: 'POST', body });
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [400, { error_msg: '400 Bad Request' }], String(body));
    }
    // The client's fault, not the plugin's.
    await until(() =>
      /refused reason=reads-json\.failed detail="REQUEST_MALFORMED: the body .*status=400/.test(gateway.output()),
    );
    assert.doesNotMatch(gateway.output(), /secret|plugin failed/);
  });

  it('json() and body(): beyond the bound is 413, whether its length is told or not, and nothing goes upstream', async () => {
    const before = upstream.requests.length;
    for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }] as const) {
      const json = JSON.stringify('x'.repeat(62));
      assert.equal((await post('/reads-json', json, headers)).status, 200);
      assert.equal((await post('/reads-json', `${json} `, headers)).status, 413);
      assert.equal((await post('/bounded', '123456789', headers)).status, 413);
    }
    assert.equal(upstream.requests.length, before);
  });

  it('body() and replaceBody(): what goes upstream is what the plugin gave, with its length', async () => {
    assert.equal((await post('/bounded', '12345678')).status, 200);
    const { body, headers } = upstream.requests.at(-1) ?? {};
    assert.deepEqual([body, headers?.['content-length'], headers?.['x-length']], ['1234567812345678', '16', '8']);
  });

  it('observeBody(): a body that is larger than any buffer is heard as it goes by', async () => {
    const body = 'piece by piece '.repeat(200_000);
    const { status, headers } = await post('/hears', body);
    assert.equal(status, 200);
    assert.equal(headers['x-digest'], createHash('sha256').update(body).digest('hex'));
    assert.equal(upstream.requests.at(-1)?.body, body);
  });

  it('what it writes goes upstream; the response has its status, source and fields, and may be given others', async () => {
    const { status, headers } = await request(gateway, '/moves', { 'X-Gone': 'here' });
    const { method, url, headers: sent } = upstream.requests.at(-1) ?? {};
    assert.deepEqual([method, url, sent?.host], ['PUT', '/elsewhere?q=1', 'inside.example']);
    assert.deepEqual([sent?.['x-set'], sent?.['x-gone']], ['by moves', undefined]);
    assert.deepEqual([status, headers['x-seen']], [202, '200 upstream text/plain']);
  });
});
