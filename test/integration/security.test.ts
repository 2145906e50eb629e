/** What broke other gateways, end to end: a client on a socket, the gateway, and what the upstream saw. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createCertificate } from '../certificates.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { put as putResource } from '../resources.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';
import { RawClient, type RawResponse } from '../wire/raw-client.ts';

/** Everything that must never be in the gateway's output; tests add what they use. */
const secrets = new Set<string>();
const secret = (text: string): string => {
  secrets.add(text);
  return text;
};

const basic = (user: string, password: string): Record<string, string> => {
  const token = Buffer.from(`${user}:${password}`).toString('base64');
  secrets.add(token);
  return { Authorization: `Basic ${token}` };
};

describe('a gateway', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let nodes: object;
  const jackKey = secret('jack-key-3f1c');
  const jackPassword = secret('jack-password-77');

  before(async () => {
    upstream = await startUpstream();
    nodes = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
    gateway = await startGateway({
      settings: { nginx_config: { error_log_level: 'debug', http: { real_ip_from: ['10.0.0.1'] } } },
    });
    secrets.add(gateway.adminKey);
    await put('/consumers', {
      username: 'jack',
      custom_id: 'c-17',
      plugins: { 'key-auth': { key: jackKey }, 'basic-auth': { username: 'jack', password: jackPassword } },
    });
    await put('/consumers', { username: 'nobody' });
    await put('/routes/open', { uri: '/*', upstream: nodes });
    await put('/routes/keyed', { uri: '/keyed/*', plugins: { 'key-auth': {} }, upstream: nodes });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    upstream.requests.length = 0;
  });

  const put = (path: string, body: object): Promise<void> => putResource(gateway, path, body);
  /** Exact bytes; Host and the end of the head are added. */
  const raw = async (line: string, fields: readonly string[] = []): Promise<RawResponse> => {
    using client = await RawClient.connect(gateway.ports.data);
    client.write([`${line} HTTP/1.1`, 'Host: gateway.test', ...fields, '', ''].join('\r\n'));
    return await client.response();
  };
  const seen = (): NonNullable<(typeof upstream.requests)[0]> => {
    const last = upstream.requests.at(-1);
    assert.ok(last !== undefined, 'nothing reached the upstream');
    return last;
  };

  // First: later tests refuse so much that the log holds lines back.
  describe('keys', () => {
    it('belong to one consumer, also when many claim one at the same time (apisix#13529)', async () => {
      const key = secret('claimed-by-all-5b');
      const names = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6'];
      const answers = await Promise.all(
        names.map((username) => gateway.admin('PUT', '/consumers', { username, plugins: { 'key-auth': { key } } })),
      );
      assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 400, 400, 400, 400, 400]);
      const owner = names[answers.findIndex(({ status }) => status === 201)] ?? '';
      for (const { status, body } of answers)
        if (status === 400)
          assert.match(String(body['error_msg']), new RegExp(`duplicate key found with consumer: ${owner}$`));
      const credential = await gateway.admin('PUT', '/consumers/jack/credentials/x', {
        plugins: { 'key-auth': { key } },
      });
      assert.equal(credential.status, 400);
      await request(gateway, '/keyed/x', { apikey: key });
      assert.equal(seen().headers['x-consumer-username'], owner);
    });

    it('and passwords that are wrong are refused', async () => {
      await put('/routes/timed', { uri: '/timed', plugins: { 'basic-auth': {} }, upstream: nodes });
      assert.equal((await request(gateway, '/keyed/x', { apikey: secret('guessed-key-08') })).status, 401);
      assert.equal((await request(gateway, '/timed', basic('jack', secret('guessed-password')))).status, 401);
      assert.equal((await request(gateway, '/timed', basic('jack', jackPassword))).status, 200);
    });

    it('that are changed or deleted stop working at once (apisix#12393, #13707)', async () => {
      const [first, second] = [secret('rotating-1-c0'), secret('rotating-2-c1')];
      const status = async (apikey: string): Promise<number> => (await request(gateway, '/keyed/x', { apikey })).status;
      await put('/consumers/jack/credentials/r', { plugins: { 'key-auth': { key: first } } });
      assert.equal(await status(first), 200);
      assert.equal(seen().headers['x-credential-identifier'], 'r');
      await put('/consumers/jack/credentials/r', { plugins: { 'key-auth': { key: second } } });
      assert.deepEqual([await status(first), await status(second)], [401, 200]);
      await gateway.admin('DELETE', '/consumers/jack/credentials/r');
      assert.equal(await status(second), 401);
    });

    it('that are references which do not resolve match nothing, not their own text (apisix#13667)', async () => {
      for (const reference of [
        '$env://GATEWRIGHT_NOT_SET',
        '$ENV://GATEWRIGHT_NOT_SET',
        '$secret://vault/1/jack/key',
      ]) {
        const { status } = await gateway.admin('PUT', '/consumers', {
          username: 'reference',
          plugins: { 'key-auth': { key: reference } },
        });
        if (status >= 400) continue;
        assert.equal((await request(gateway, '/keyed/x', { apikey: reference })).status, 401, reference);
      }
    });

    it('differ in every character (tyk#3044)', async () => {
      for (let at = 0; at < jackKey.length; at++) {
        const near = `${jackKey.slice(0, at)}${jackKey[at] === 'x' ? 'y' : 'x'}${jackKey.slice(at + 1)}`;
        assert.equal((await request(gateway, '/keyed/x', { apikey: near })).status, 401);
      }
    });

    it('that are wrong do not reach the upstream through anonymous access (apisix#13468)', async () => {
      await put('/routes/anonymous', {
        uri: '/anonymous',
        plugins: { 'key-auth': { hide_credentials: true, anonymous_consumer: 'nobody' } },
        upstream: nodes,
      });
      const wrong = secret('wrong-key-91');
      assert.equal((await request(gateway, `/anonymous?a=1&apikey=${wrong}`, { apikey: wrong })).status, 200);
      const { url, headers } = seen();
      assert.equal(url, '/anonymous?a=1');
      assert.equal(headers['apikey'], undefined);
      assert.equal(headers['x-consumer-username'], 'nobody');
    });
  });

  describe('identity headers', () => {
    const names = [
      'X-Consumer-Username',
      'X-Consumer-Custom-ID',
      'X-Credential-Identifier',
      'X-Consumer-Groups',
      'X-Userinfo',
    ];
    const spellings = names.flatMap((name) => [
      name,
      name.toLowerCase(),
      name.toUpperCase(),
      name.replaceAll('-', '_'),
      name.replaceAll('-', '.'),
      name.replace('-', '_'),
      name.replace(/-(?=[^-]*$)/, '_'),
      name.toLowerCase().replaceAll('-', '_'),
      name.replaceAll('-', '!'),
    ]);
    /** As a backend does that makes variables of field names. */
    const folded = (): [string, unknown][] =>
      Object.entries(seen().headers).map(([name, value]) => [name.replace(/[^a-z0-9]/g, '-'), value]);

    it('that a client makes up never reach the upstream, in any spelling (CVE-2026-39998, GHSA-x677-9fxg-v5c5)', async () => {
      const reserved = new Set(names.map((name) => name.toLowerCase()));
      for (const spelling of spellings) {
        assert.equal((await raw('GET /x', [`${spelling}: root`])).status, 200);
        assert.deepEqual(
          folded().filter(([name]) => reserved.has(name)),
          [],
          spelling,
        );
      }
    });

    it("are the gateway's own beside a forged one of any spelling", async () => {
      await raw('GET /keyed/x', [`apikey: ${jackKey}`, ...spellings.map((spelling) => `${spelling}: root`)]);
      const identity = folded().filter(([name]) => /^x-(consumer|credential|userinfo)/.test(name));
      assert.deepEqual(Object.fromEntries(identity), { 'x-consumer-username': 'jack', 'x-consumer-custom-id': 'c-17' });
    });

    it("survive a client's Connection that names them (CVE-2021-32813, CVE-2026-33805)", async () => {
      await raw('GET /keyed/x', [
        `apikey: ${jackKey}`,
        'Connection: X-Consumer-Username, x-consumer-custom-id, X-Real-IP, X-Forwarded-For, keep-alive',
      ]);
      const { headers } = seen();
      assert.equal(headers['x-consumer-username'], 'jack');
      assert.equal(headers['x-consumer-custom-id'], 'c-17');
      assert.equal(headers['x-real-ip'], '127.0.0.1');
      assert.equal(headers['x-forwarded-for'], '127.0.0.1');
    });
  });

  it('rebuilds the forwarded headers from the socket (CVE-2026-35051, CVE-2024-52003, CVE-2026-3635)', async () => {
    await raw('GET /x', [
      ...['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil', 'X-Forwarded-Port: 1'],
      ...['X-Real-IP: 6.6.6.6', 'Forwarded: for=6.6.6.6', 'x_forwarded_for: 6.6.6.6', 'X.Real.IP: 6.6.6.6'],
    ]);
    const { headers } = seen();
    const forwarded = Object.entries(headers).filter(([name]) => /forwarded|real/.test(name));
    assert.deepEqual(Object.fromEntries(forwarded), {
      'x-real-ip': '127.0.0.1',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'gateway.test',
      'x-forwarded-port': String(gateway.ports.data),
    });
  });

  it('decides addresses by the socket: a forged X-Forwarded-For changes nothing (CVE-2021-33190, apisix#13329)', async () => {
    await put('/routes/address', {
      uri: '/address',
      plugins: { 'ip-restriction': { whitelist: ['6.6.6.6'] } },
      upstream: nodes,
    });
    for (const field of ['X-Forwarded-For', 'X-Real-IP', 'Forwarded'])
      assert.equal((await raw('GET /address', [`${field}: 6.6.6.6`])).status, 403);
  });

  describe('a protected path beside an open catch-all', () => {
    const separators = ['/', '//', '/./', '%2f', '%2F', '\\', '%5c', '/%2e/'];
    const parents = ['..', '%2e%2e', '.%2e', '%2E.', '..;', '..;x=1', '..%3b', '..%00', '%2e%2e%2f..', '..%5c..'];
    const spelt = [
      ...['//', '/./', '/%2e/', '/x/../', '/x/%2e%2e/', '/x//..//../', '/\\', '/%5c', '/%2f'].map(
        (before_) => `${before_}admin/secret`,
      ),
      ...[
        '/admin//secret',
        '/admin/./secret',
        '/admin%2fsecret',
        '/admin%5csecret',
        '/admin\\secret',
        '/%61dmin/secret',
      ],
      ...[
        '/admin/secret%00',
        '/admin%00/secret',
        '/admin/secret#x',
        '/admin/x/../secret',
        '/admin/secret/.',
        '/admin/..;/admin/secret',
      ],
      ...[
        'http://gateway.test/admin/secret',
        'http://gateway.test//admin/secret',
        'http://gateway.test/x/../admin/secret',
      ],
    ];
    const climbing = (prefix: string): string[] =>
      separators.flatMap((first) =>
        parents.flatMap((parent) => separators.map((second) => `${prefix}${first}${parent}${second}admin/secret`)),
      );

    before(async () => {
      await put('/routes/admin', { uri: '/admin/*', plugins: { 'key-auth': {} }, upstream: nodes });
      // Strips its prefix: /strip/public/a goes upstream as /public/a.
      await put('/routes/strip', {
        uri: '/strip/public/*',
        plugins: { 'proxy-rewrite': { regex_uri: ['^/strip/(.*)', '/$1'] } },
        upstream: nodes,
      });
      // The path comes from a parameter.
      await put('/routes/template', {
        uri: '/template',
        plugins: { 'proxy-rewrite': { uri: '/public/$arg_path' } },
        upstream: nodes,
      });
    });

    const attack = async (targets: readonly string[]): Promise<Map<number, number>> => {
      const statuses = new Map<number, number>();
      for (const target of targets) {
        upstream.requests.length = 0;
        const { status } = await raw(`GET ${target}`);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        const [arrived] = upstream.requests;
        if (arrived === undefined) assert.ok(status === 400 || status === 401, `${target}: ${status}`);
        else {
          assert.equal(status, 200);
          assert.doesNotMatch(asBackendReads(arrived.url), /^\/admin(\/|$)/, `${target} arrived as ${arrived.url}`);
        }
      }
      return statuses;
    };

    it('is not reached by another spelling of its path (CVE-2021-43557, CVE-2025-32431, CVE-2019-9901, CVE-2021-29492)', async () => {
      const statuses = await attack(spelt);
      assert.deepEqual([...statuses.keys()].sort(), [400, 401]);
    });

    it('is not reached by climbing out of an open path', async () => {
      const statuses = await attack(climbing('/open/x'));
      assert.deepEqual([...statuses.keys()].sort(), [200, 400, 401]);
    });

    it('is not reached by climbing out of a path that is stripped', async () => {
      await attack(climbing('/strip/public'));
      await attack(['/strip//admin/secret', '/strip/admin/secret', '/strip/public/../../admin/secret']);
    });

    it('is not reached through a path that is made from a parameter', async () => {
      await attack(
        climbing('').map((path) => `/template?path=${path.slice(1).replaceAll('\\', '%5c').replaceAll('%', '%25')}`),
      );
      await attack([
        '/template?path=../admin/secret',
        '/template?path=..%2fadmin/secret',
        '/template?path=%2e%2e%2Fadmin',
      ]);
    });

    it('is served with its key under every spelling that is not refused', async () => {
      for (const target of spelt) {
        const { status } = await raw(`GET ${target}`, [`apikey: ${jackKey}`]);
        assert.ok(status === 200 || status === 400, `${target}: ${status}`);
      }
      assert.equal((await raw('GET /admin/secret', [`apikey: ${jackKey}`])).status, 200);
    });
  });

  describe('line ends in what a client sends', () => {
    const evil = 'a%0d%0aX-Evil:%201%0d%0a%0d%0aGET%20/second';
    before(async () => {
      await put('/routes/reflect', {
        uri: '/reflect/*',
        plugins: {
          'proxy-rewrite': { uri: '/to/x?v=$arg_v', headers: { set: { 'X-Reflected': '$arg_v' } } },
          'response-rewrite': { headers: { set: { 'X-Back': '$arg_v' } } },
        },
        upstream: nodes,
      });
      await put('/routes/moved', { uri: '/moved', plugins: { redirect: { uri: '/to/$arg_v' } } });
    });

    it('do not end a line of the request that goes upstream, nor of the response (apisix#13787, CVE-2023-27493)', async () => {
      const response = await raw(`GET /reflect/x?v=${evil}`);
      assert.equal(response.status, 200);
      assert.equal(response.header('x-evil'), undefined);
      assert.equal(upstream.requests.length, 1);
      const { url, headers } = seen();
      assert.equal(headers['x-evil'], undefined);
      assert.match(url, /^\/to\/x\?v=a%0D%0AX-Evil/);
      assert.doesNotMatch(String(headers['x-reflected']), /[\r\n]/);
    });

    it('are refused in a path that goes upstream', async () => {
      await put('/routes/reflected-path', {
        uri: '/reflected-path',
        plugins: { 'proxy-rewrite': { uri: '/to/$arg_v' } },
        upstream: nodes,
      });
      assert.equal((await raw(`GET /reflected-path?v=${evil}`)).status, 400);
      assert.equal(upstream.requests.length, 0);
      assert.equal((await raw('GET /reflected-path?v=a%20b')).status, 200);
      assert.equal(seen().url, '/to/a%20b?v=a%20b');
    });

    it('do not end a line of a redirect', async () => {
      const response = await raw(`GET /moved?v=${evil}`);
      assert.equal(response.status, 302);
      assert.equal(response.header('x-evil'), undefined);
      assert.match(response.header('location') ?? '', /^\/to\/a%0D%0AX-Evil/);
    });

    it('are refused in configured headers', async () => {
      const { status } = await gateway.admin('PUT', '/routes/bad', {
        uri: '/bad',
        plugins: { 'proxy-rewrite': { headers: { set: { 'X-A': 'a\r\nX-Evil: 1' } } } },
        upstream: nodes,
      });
      assert.equal(status, 400);
    });
  });

  describe('configuration that cannot be used', () => {
    it('is refused when it is written, and nothing changes (go runner, ingress#2814)', async () => {
      const unknown = { uri: '/unknown', plugins: { 'no-such-plugin': {} }, upstream: nodes };
      const invalid = {
        uri: '/unknown',
        plugins: { 'ip-restriction': { whitelist: ['not an address'] } },
        upstream: nodes,
      };
      const route = await gateway.admin('PUT', '/routes/unknown', unknown);
      assert.deepEqual([route.status, route.body['error_msg']], [400, 'unknown plugin [no-such-plugin]']);
      assert.equal((await gateway.admin('PUT', '/routes/unknown', invalid)).status, 400);
      assert.equal((await gateway.admin('GET', '/routes/unknown')).status, 404);
    });

    it('of a global rule is refused, and the others go on (apisix#12834)', async () => {
      await put('/global_rules/good', { plugins: { 'response-rewrite': { headers: { set: { 'X-Rule': 'good' } } } } });
      const bad = await gateway.admin('PUT', '/global_rules/bad', {
        plugins: { 'ip-restriction': { whitelist: [7] } },
      });
      assert.equal(bad.status, 400);
      const changed = await gateway.admin('PUT', '/global_rules/good', { plugins: { 'no-such-plugin': {} } });
      assert.equal(changed.status, 400);
      assert.equal((await request(gateway, '/x')).headers['x-rule'], 'good');
      await gateway.admin('DELETE', '/global_rules/good');
    });

    it('with a key twice is refused (CVE-2022-25757)', async () => {
      const { status } = await gateway.admin('PUT', '/routes/twice', '{"uri":"/a","uri":"/b","plugins":{}}');
      assert.equal(status, 400);
    });
  });

  it('answers 401 on every route of the Admin API without its key (CVE-2021-45232, apisix#13328)', async () => {
    const { body } = await gateway.admin('GET', '/openapi.json');
    const paths = Object.entries(body['paths'] as Record<string, Record<string, unknown>>);
    const calls = paths.flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => [method.toUpperCase(), path.replace(/\{\w+\}/g, '1')] as const),
    );
    assert.ok(calls.length > 50, String(calls.length));
    const beyond = [
      '/apisix/admin',
      '/apisix/admin/',
      '/apisix/admin/nothing',
      '/apisix/admin/routes/../routes',
      '/',
      '/ui',
    ];
    const origin = `http://127.0.0.1:${gateway.ports.admin}`;
    const refused = new Map<string, number>();
    for (const [method, path] of [...calls, ...beyond.map((path) => ['GET', path] as const)]) {
      for (const headers of [{}, { 'X-API-KEY': 'edd1c9f034335f136f87ad84b625c8f1' }, { 'X-API-KEY': '' }]) {
        const response = await fetch(`${origin}${path}`, { method, headers });
        await response.text();
        if (response.status !== 401) refused.set(`${method} ${path}`, response.status);
      }
    }
    assert.deepEqual([...refused], []);
  });

  it('takes as long to refuse an unknown user as a known one (GHSA-8fcf-v89g-xpg6)', async (t) => {
    const wrong = secret('not-the-password-0');
    const users = ['jack', 'jill'] as const;
    const times = { jack: [] as number[], jill: [] as number[] };
    using client = await RawClient.connect(gateway.ports.data);
    for (let round = 0; round < 600; round++) {
      for (const user of round % 2 === 0 ? users : users.toReversed()) {
        const { Authorization: field } = basic(user, wrong);
        const started = performance.now();
        client.write(`GET /timed HTTP/1.1\r\nHost: a\r\nAuthorization: ${field ?? ''}\r\n\r\n`);
        assert.equal((await client.response()).status, 401);
        times[user].push(performance.now() - started);
      }
    }
    const [known, unknown] = [median(times.jack), median(times.jill)];
    t.diagnostic(`known ${known.toFixed(3)} ms, unknown ${unknown.toFixed(3)} ms`);
    assert.ok(Math.abs(known - unknown) < 0.3 * Math.min(known, unknown), `${known} ${unknown}`);
  });

  it('does not show private keys or credentials it was given (apisix#13227)', async () => {
    const { cert, key } = await createCertificate('secret.test');
    for (const line of key.split('\n').filter((text) => text !== '' && !text.startsWith('-'))) secrets.add(line);
    await put('/ssls/1', { cert, key, snis: ['secret.test'] });
    const shown = JSON.stringify((await gateway.admin('GET', '/ssls/1')).body);
    assert.ok(shown.includes('secret.test'));
    assert.ok(!shown.includes(key.split('\n')[1] ?? '?'));
    const bad = await gateway.admin('PUT', '/ssls/2', { cert, key: `${key.slice(0, 120)}x`, snis: ['secret.test'] });
    assert.equal(bad.status, 400);
    assert.ok(!JSON.stringify(bad.body).includes(key.split('\n')[1] ?? '?'));
  });

  it('wrote none of the secrets of these tests to its log, at debug level (CVE-2022-29266, apisix#13205, #13502)', () => {
    const output = gateway.output();
    for (const reason of ['key-auth.unknown_key', 'basic-auth.wrong_password', 'ip-restriction.not_whitelisted'])
      assert.ok(output.includes(`request refused reason=${reason} `), reason);
    assert.ok(secrets.size > 12);
    assert.deepEqual(
      [...secrets].filter((text) => output.includes(text)),
      [],
    );
  });
});

it('a plugin that the settings no longer enable: what uses it answers 503, never 200', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  const get = (gateway: Gateway, path: string, headers = {}): Promise<TextResponse> => request(gateway, path, headers);
  try {
    await using upstream = await startUpstream();
    const own = { upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } } };
    const restricted = { 'ip-restriction': { whitelist: ['127.0.0.1'] } };
    {
      await using gateway = await startGateway({ directory });
      const results = [
        await gateway.admin('PUT', '/routes/with', { uri: '/with', plugins: restricted, ...own }),
        await gateway.admin('PUT', '/routes/without', { uri: '/without', ...own }),
        await gateway.admin('PUT', '/routes/keyed', { uri: '/keyed', plugins: { 'key-auth': {} }, ...own }),
        await gateway.admin('PUT', '/plugin_configs/1', { plugins: restricted }),
        await gateway.admin('PUT', '/routes/shared', { uri: '/shared', plugin_config_id: '1', ...own }),
        await gateway.admin('PUT', '/consumers', {
          username: 'jack',
          plugins: { 'key-auth': { key: 'jack-key' }, ...restricted },
        }),
      ];
      assert.deepEqual(
        results.map(({ status }) => status),
        [201, 201, 201, 201, 201, 201],
      );
      assert.equal((await get(gateway, '/with')).status, 200);
      assert.equal((await get(gateway, '/keyed', { apikey: 'jack-key' })).status, 200);
    }
    {
      await using gateway = await startGateway({ directory, settings: { plugins: ['key-auth', 'response-rewrite'] } });
      const before_ = upstream.requests.length;
      for (const path of ['/with', '/shared']) {
        const response = await get(gateway, path);
        assert.equal(response.status, 503, path);
        assert.equal(response.body, '{"error_msg":"503 Service Temporarily Unavailable"}\n');
      }
      assert.equal((await get(gateway, '/keyed', { apikey: 'jack-key' })).status, 503);
      assert.equal(upstream.requests.length, before_);
      assert.equal((await get(gateway, '/without')).status, 200);
      assert.match(gateway.output(), /unknown plugin \[ip-restriction\]/);
      await gateway.admin('DELETE', '/routes/with');
    }
    {
      await using gateway = await startGateway({ directory });
      assert.equal((await gateway.admin('PUT', '/global_rules/1', { plugins: restricted })).status, 201);
    }
    {
      await using gateway = await startGateway({ directory, settings: { plugins: ['key-auth', 'response-rewrite'] } });
      assert.equal((await get(gateway, '/without')).status, 503);
      assert.equal((await get(gateway, '/nowhere')).status, 503);
      await gateway.admin('DELETE', '/global_rules/1');
      assert.equal((await get(gateway, '/without')).status, 200);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});

/** The path as a backend may read it: decoded once, `\` as `/`, what follows `;` dropped, dot segments resolved. */
function asBackendReads(url: string): string {
  const path = decodeURIComponent(url.split('?', 1)[0] ?? '').replaceAll('\\', '/');
  const kept: string[] = [];
  for (const segment of path.split('/').map((part) => part.replace(/^(\.{1,2});.*/, '$1'))) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
