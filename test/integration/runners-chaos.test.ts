/** A runner that is dead, hangs or lies: requests end in bounded time with 503, never pass, and go on when it does. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { type FakeRunner, startFakeRunner } from '../runners/fake-runner.ts';
import { conf, putRoute } from '../runners/route.ts';
import { changedResponse, confToken, failure, goOn, question, rewrite, stop } from '../runners/runner-messages.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const timeoutMs = 400;

describe('a runner beside the gateway', { timeout: 120_000 }, () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let runner: FakeRunner;
  before(async () => {
    upstream = await startUpstream((received, response, body) => {
      response.setHeader('Content-Type', 'text/plain');
      response.end(received.url?.startsWith('/large') === true ? 'x'.repeat(3_000_000) : `up:${body}`);
    });
    runner = await startFakeRunner();
    gateway = await startGateway({
      settings: {
        'ext-plugin': {
          path_for_test: runner.socket,
          timeout: `${String(timeoutMs)}ms`,
          body_size: '1m',
          connections: 4,
        },
        nginx_config: { worker_processes: 1 },
      },
    });
    await route('pre', { 'ext-plugin-pre-req': conf('a') });
    await route('degrade', { 'ext-plugin-pre-req': { ...conf('d'), allow_degradation: true } });
    await route('status', { 'ext-plugin-pre-req': { ...conf('s'), status_on_error: 500 } });
    await route('post', { 'ext-plugin-post-resp': conf('p') });
    await route('large', { 'ext-plugin-post-resp': conf('l') });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await runner[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  /** After whatever it did, the next request of a well-behaved runner passes. */
  afterEach(async () => {
    runner.behaviour = {};
    const seen = upstream.requests.length;
    assert.equal((await request(gateway, '/pre')).status, 200);
    assert.equal(upstream.requests.length, seen + 1);
  });
  const route = (id: string, plugins: Record<string, unknown>): Promise<void> =>
    putRoute(gateway, id, upstream.node, plugins, `/${id}*`);

  /** 503 that names `reason` in the log, and nothing went upstream. */
  async function refused(reason: string, path = '/pre', options = {}): Promise<TextResponse> {
    const seen = upstream.requests.length;
    const logged = gateway.output().length;
    const response = await request(gateway, path, {}, options);
    assert.equal(response.status, 503, response.body);
    assert.equal(response.body, '{"error_msg":"503 Service Unavailable"}\n');
    assert.equal(upstream.requests.length, seen);
    await until(() => gateway.output().slice(logged).includes(`.runner_${reason}`));
    return response;
  }

  describe('that does not answer', () => {
    it('costs its time-out and no more', async () => {
      runner.behaviour = { request: () => undefined };
      await refused('timeout');
    });
    it('costs no more where it sends its answer a byte at a time', async () => {
      let dripping = true;
      runner.behaviour = {
        request: (call, _conf, _ask, socket) => {
          void (async () => {
            for (const byte of goOn(call.id)) {
              if (!dripping || socket.destroyed) return;
              socket.write(Buffer.of(byte));
              await new Promise((resolve) => setTimeout(resolve, 60));
            }
          })();
          return undefined;
        },
      };
      await refused('timeout');
      dripping = false;
    });
    it('costs no more where it sends half a frame', async () => {
      runner.behaviour = { request: (call) => goOn(call.id).subarray(0, 9) };
      await refused('timeout');
    });
    it('costs no more where it announces sixteen megabytes', async () => {
      runner.behaviour = { request: () => Buffer.from('02ffffff0000', 'hex') };
      await refused('timeout');
    });
    it('does not keep other connections waiting', async () => {
      runner.behaviour = {
        request: (call) => (call.path === '/pre/slow' ? undefined : stop(call.id, { body: Buffer.from('quick') })),
      };
      const slow = request(gateway, '/pre/slow');
      assert.equal((await request(gateway, '/pre/quick')).body, 'quick');
      assert.equal((await slow).status, 503);
    });
    it('is waited for by no more requests than there are connections; the others are refused in time', async () => {
      runner.behaviour = { request: () => undefined };
      const all = await Promise.all(Array.from({ length: 10 }, () => request(gateway, '/pre')));
      assert.deepEqual(
        all.map(({ status }) => status),
        new Array<number>(10).fill(503),
      );
      // Those that were given up are closed as soon as the runner hears of it.
      await until(() => runner.open.size <= 4);
    });
  });

  describe('that is not there', () => {
    it('is refused at once, and used when it is back', async () => {
      await runner.stop();
      await refused('unreachable');
      await runner.start();
    });
    it('passes with allow_degradation, and says so in the log', async () => {
      await runner.stop();
      const response = await request(gateway, '/degrade');
      assert.equal(response.status, 200);
      await until(() => gateway.output().includes('the request goes on without the runner'));
      await runner.start();
    });
    it('answers with status_on_error', async () => {
      await runner.stop();
      assert.equal((await request(gateway, '/status')).status, 500);
      await runner.start();
    });
    it('goes while a request is with it: 503', async () => {
      runner.behaviour = {
        request: (_call, _conf, _ask, socket) => {
          socket.destroy();
          return undefined;
        },
      };
      await refused('unreachable');
    });
    it('goes inside a frame: 503', async () => {
      runner.behaviour = {
        request: (call, _conf, _ask, socket) => {
          socket.end(goOn(call.id).subarray(0, 7));
          return undefined;
        },
      };
      await refused('unreachable');
    });
  });

  describe('that breaks the protocol', () => {
    const lies: Readonly<Record<string, (id: number) => Uint8Array>> = {
      garbage: () => Buffer.from('02000008deadbeefdeadbeef', 'hex'),
      'an empty message': () => Buffer.from('02000000', 'hex'),
      'an answer to another call': (id) => goOn(id + 1),
      'a message of another type': () => confToken(1),
      'an unknown type': () => Buffer.from('ff000000', 'hex'),
      'two answers': (id) => Buffer.concat([goOn(id), goOn(id)]),
      'a header with a line break': (id) => rewrite(id, { headers: [['x-a', 'a\r\nx-b: c']] }),
      'a header with a NUL': (id) => rewrite(id, { headers: [['x-a', 'a\0']] }),
      'a header name with a space': (id) => rewrite(id, { headers: [['x a', 'a']] }),
      'a line break in a response header': (id) => rewrite(id, { responseHeaders: [['x-a', 'a\nb']] }),
      'a line break in a header of Stop': (id) => stop(id, { headers: [['x-a', 'a\r\n\r\nb']] }),
      'a path with a line break': (id) => rewrite(id, { path: '/a\r\nX: y' }),
      'a path with a NUL': (id) => rewrite(id, { path: '/a\0b' }),
      'an argument with a line break': (id) => rewrite(id, { args: [['a', 'b\nc']] }),
      'a host that is none': (id) => rewrite(id, { headers: [['host', 'a b']] }),
      'status 99': (id) => stop(id, { status: 99 }),
      'status 600': (id) => stop(id, { status: 600 }),
      'status 101': (id) => stop(id, { status: 101 }),
      'another consumer': (id) => rewrite(id, { headers: [['X-Consumer-Username', 'admin']] }),
      'another consumer, spelt differently': (id) => rewrite(id, { headers: [['x_consumer.username', 'admin']] }),
      'no credential': (id) => rewrite(id, { headers: [['X-Credential-Identifier', undefined]] }),
    };
    for (const [lie, bytes] of Object.entries(lies)) {
      it(`with ${lie}: 503, and nothing of it is applied`, async () => {
        runner.behaviour = { request: (call) => bytes(call.id) };
        const response = await refused('protocol');
        assert.equal(response.headers['x-b'], undefined);
      });
    }
    it('by questions without end: they are counted', async () => {
      runner.behaviour = {
        request: async (_call, _conf, ask) => {
          for (;;) await ask(question({ info: 'variable', name: 'uri' }));
        },
      };
      await refused('protocol');
    });
    it('by bytes that nobody asked for: the connection is closed, the next call has another', async () => {
      await request(gateway, '/pre');
      const { accepted } = runner;
      for (const socket of runner.open) socket.write(goOn(1));
      await until(() => runner.open.size === 0);
      assert.equal((await request(gateway, '/pre')).status, 200);
      assert.equal(runner.accepted, accepted + 1);
    });
    it('keeps to the path that was judged: dot segments are refused with 400', async () => {
      runner.behaviour = { request: (call) => rewrite(call.id, { path: '/pre/../admin' }) };
      assert.equal((await request(gateway, '/pre')).status, 400);
    });
  });

  describe('that refuses', () => {
    it('is refused with 503, and the connection goes on', async () => {
      runner.behaviour = { request: () => failure(1) };
      await request(gateway, '/pre');
      const { accepted } = runner;
      await refused('refused');
      await refused('refused');
      assert.equal(runner.accepted, accepted);
    });
    it('a token that it has forgotten is given the configuration again', async () => {
      await request(gateway, '/pre');
      const prepared = runner.prepared.length;
      let forgotten = true;
      runner.behaviour = {
        request: (call) => {
          const answer = forgotten ? failure(2) : stop(call.id, { body: Buffer.from('again') });
          forgotten = false;
          return answer;
        },
      };
      assert.equal((await request(gateway, '/pre')).body, 'again');
      assert.equal(runner.prepared.length, prepared + 1);
    });
    it('every token is refused in the end', async () => {
      runner.behaviour = { request: () => failure(2) };
      await refused('refused');
    });
    it('a configuration when it is written: 400 that names plugin and item', async () => {
      runner.behaviour = {
        prepare: ({ conf: [first] }, token) => (first?.[0] === 'unknown' ? failure(0) : confToken(token)),
      };
      const { status, body } = await gateway.admin('PUT', '/routes/unknown', {
        uri: '/unknown',
        plugins: {
          'ext-plugin-pre-req': {
            conf: [
              { name: 'known', value: '' },
              { name: 'unknown', value: '' },
            ],
          },
        },
        upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
      });
      assert.equal(status, 400);
      assert.match(String(body['error_msg']), /plugin ext-plugin-pre-req.*"conf".*item 2.*unknown/);
    });
    it('a configuration that could be written while it was away: 503 at each request', async () => {
      await runner.stop();
      await route('away', { 'ext-plugin-pre-req': conf('unknown') });
      await runner.start();
      runner.behaviour = { prepare: () => failure(0) };
      await refused('refused', '/away');
    });
  });

  it('is asked once for each configuration, on one connection, whatever the number of requests', async () => {
    await runner.restart();
    const { accepted, prepared } = runner;
    const before = prepared.length;
    for (let i = 0; i < 20; i++) assert.equal((await request(gateway, '/pre')).status, 200);
    assert.equal(prepared.length, before + 1);
    assert.equal(runner.accepted, accepted + 1);
  });

  it('may answer PrepareConf twice with the same, as Apache’s Java runner does; with something else it may not', async () => {
    await runner.restart();
    const { accepted } = runner;
    runner.behaviour = { prepare: (_conf, token) => Buffer.concat([confToken(token), confToken(token)]) };
    for (let i = 0; i < 3; i++) assert.equal((await request(gateway, '/pre')).status, 200);
    assert.equal(runner.accepted, accepted + 1);
    await runner.restart();
    runner.behaviour = { prepare: (_conf, token) => Buffer.concat([confToken(token), confToken(token + 1)]) };
    await refused('protocol');
  });

  it('may send that second answer as late as it likes', async () => {
    await runner.restart();
    const { accepted } = runner;
    runner.behaviour = { request: (call) => Buffer.concat([confToken(call.confToken), goOn(call.id)]) };
    assert.equal((await request(gateway, '/pre')).status, 200);
    runner.behaviour = {};
    assert.equal((await request(gateway, '/pre')).status, 200);
    assert.equal(runner.accepted, accepted + 1);
  });

  it('waited 2 s to be written where the runner gave the same token twice: it is asked once about equal items, each on a connection of its own', async () => {
    // As our own runners do for equal configurations.
    runner.behaviour = { prepare: () => confToken(7) };
    const prepared = runner.prepared.length;
    const { accepted } = runner;
    const logged = gateway.output().length;
    await route('twice', { 'ext-plugin-pre-req': conf('a'), 'ext-plugin-post-resp': conf('a') });
    assert.equal(runner.prepared.length, prepared + 1);
    await route('twice', { 'ext-plugin-pre-req': conf('a'), 'ext-plugin-post-resp': conf('a', { other: 1 }) });
    assert.equal(runner.prepared.length, prepared + 3);
    assert.equal(runner.accepted, accepted + 3);
    assert.doesNotMatch(gateway.output().slice(logged), /could not be asked/);
  });

  it('that was started anew counts its tokens anew: no request runs with another’s configuration', async () => {
    runner.behaviour = {
      request: (call, conf) => stop(call.id, { body: Buffer.from(conf?.conf[0]?.[0] ?? 'none') }),
    };
    for (let round = 0; round < 3; round++) {
      await runner.restart();
      const paths = round % 2 === 0 ? ['/pre', '/status'] : ['/status', '/pre'];
      for (const path of paths)
        assert.equal((await request(gateway, path)).body, path === '/pre' ? 'a' : 's', `round ${String(round)}`);
    }
  });

  it('replaces the body of a request, which goes upstream whole', async () => {
    runner.behaviour = {
      request: async (call, _conf, ask) => {
        const body = (await ask(question({ info: 'request-body' }))) ?? Buffer.alloc(0);
        return rewrite(call.id, { body: Buffer.from(body.toString().toUpperCase().repeat(2)) });
      },
    };
    assert.equal((await request(gateway, '/pre', {}, { method: 'POST', body: 'abc' })).body, 'up:ABCABC');
    runner.behaviour = { request: (call) => rewrite(call.id, { body: Buffer.from('unread') }) };
    assert.equal((await request(gateway, '/pre', {}, { method: 'POST', body: 'abc' })).body, 'up:unread');
    assert.equal((await request(gateway, '/pre')).body, 'up:unread');
    runner.behaviour = { request: (call) => rewrite(call.id, { body: Buffer.alloc(0) }) };
    assert.equal((await request(gateway, '/pre', {}, { method: 'POST', body: 'abc' })).body, 'up:');
  });

  it('cannot be given a body beyond ext-plugin.body_size: 413', async () => {
    runner.behaviour = {
      request: async (call, _conf, ask) => {
        await ask(question({ info: 'request-body' }));
        return goOn(call.id);
      },
    };
    const body = Buffer.alloc(1_100_000);
    assert.equal((await request(gateway, '/pre', {}, { method: 'POST', body })).status, 413);
  });

  it('is free again where clients go away in the midst of a body that it asked for', async () => {
    runner.behaviour = {
      request: async (call, _conf, ask) => {
        await ask(question({ info: 'request-body' }));
        return goOn(call.id);
      },
    };
    for (let i = 0; i < 8; i++) {
      const asked = runner.requests.length;
      const client = connect({ host: '127.0.0.1', port: gateway.ports.data });
      client.write('POST /pre HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
      await until(() => runner.requests.length > asked);
      client.destroy();
    }
    assert.equal((await request(gateway, '/pre', {}, { method: 'POST', body: 'abc' })).body, 'up:abc');
  });

  it('puts repeated fields and bytes that are no UTF-8 on the response as they are', async () => {
    runner.behaviour = {
      request: (call) =>
        stop(call.id, {
          status: 401,
          headers: [
            ['Set-Cookie', 'a=1'],
            ['Set-Cookie', 'b=2'],
            ['X-Raw', '\xff\xfe'],
            ['Content-Type', 'text/x'],
          ],
          body: Buffer.from('no'),
        }),
    };
    const response = await request(gateway, '/pre');
    assert.equal(response.status, 401);
    assert.equal(response.headers['set-cookie'], 'a=1, b=2');
    assert.equal(response.headers['x-raw'], '\xff\xfe');
    assert.equal(response.headers['content-type'], 'text/x');
    assert.equal(response.body, 'no');
  });

  it('sees each field of a repeated header, and header bytes that are no UTF-8', async () => {
    await request(gateway, '/pre', { 'X-Many': ['1', '2'], 'X-Raw': '\xff\xe9' });
    const headers = runner.requests.at(-1)?.headers.filter(([name]) => name.startsWith('x-'));
    assert.deepEqual(
      headers?.filter(([name]) => name === 'x-many' || name === 'x-raw'),
      [
        ['x-many', '1'],
        ['x-many', '2'],
        ['x-raw', '\xff\xe9'],
      ],
    );
  });

  it('is not asked about a method that the protocol has no word for: 503', async () => {
    const asked = runner.requests.length;
    await refused('unsupported', '/pre', { method: 'PURGE' });
    assert.equal(runner.requests.length, asked);
  });

  describe('judging responses', () => {
    it('that dies, hangs or lies costs the client the response: 503, and none of it is sent', async () => {
      const bad: (() => Uint8Array | undefined)[] = [
        () => undefined,
        () => Buffer.from('04000004ffffffff', 'hex'),
        () => failure(1),
        () => changedResponse(999_999, {}),
      ];
      for (const response of bad) {
        runner.behaviour = { response };
        const answer = await request(gateway, '/post');
        assert.equal(answer.status, 503);
        assert.equal(answer.body, '{"error_msg":"503 Service Unavailable"}\n');
      }
    });
    it('lets a large body stream through that it does not ask for', async () => {
      const answer = await request(gateway, '/large');
      assert.equal(answer.status, 200);
      assert.equal(answer.body.length, 3_000_000);
    });
    it('replaces a large body that it does not ask for', async () => {
      runner.behaviour = { response: (call) => changedResponse(call.id, { status: 201, body: Buffer.from('small') }) };
      const answer = await request(gateway, '/large');
      assert.equal(answer.status, 201);
      assert.equal(answer.body, 'small');
    });
    it('cannot be given a body beyond ext-plugin.body_size: 503', async () => {
      runner.behaviour = {
        response: async (call, _conf, ask) => {
          await ask(question({ info: 'response-body' }));
          return changedResponse(call.id, {});
        },
      };
      assert.equal((await request(gateway, '/large')).status, 503);
    });
    it('is given the body, and the request’s variables', async () => {
      runner.behaviour = {
        response: async (call, _conf, ask) => {
          const body = (await ask(question({ info: 'response-body' }))) ?? Buffer.alloc(0);
          const uri = (await ask(question({ info: 'variable', name: 'uri' }))) ?? Buffer.alloc(0);
          return changedResponse(call.id, { headers: [['X-Uri', uri.toString()]], body: Buffer.concat([body, body]) });
        },
      };
      const answer = await request(gateway, '/post', {}, { method: 'POST', body: '1' });
      assert.equal(answer.body, 'up:1up:1');
      assert.equal(answer.headers['x-uri'], '/post');
    });
  });
});
