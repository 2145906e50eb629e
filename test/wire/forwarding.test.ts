/** What goes upstream and what comes back: exact fields, framing, identity and forwarded headers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answering, routeTo, startGateway, startUpstream, trustLoopback } from './gateway.ts';
import type { RawRequest } from './raw-client.ts';

const host = 'Host: a.example\r\n';
const names = ({ fields }: RawRequest): string[] => fields.map(([name]) => name.toLowerCase());

describe('request fields', () => {
  it('arrive in order and as they were, without the hop-by-hop ones', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(
      `GET /a?b=c HTTP/1.1\r\n${host}X-One: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nx-two:2\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Authorization: Basic x\r\nProxy-Connection: keep-alive\r\nUpgrade: foo\r\nX-One: 3\r\n\r\n`,
    );
    assert.equal((await client.response()).status, 200);
    const [request] = upstream.requests;
    assert.equal(request?.target, '/a?b=c');
    assert.deepEqual(request.fields.slice(0, 4), [
      ['Host', 'a.example'],
      ['X-One', '1'],
      ['x-two', '2'],
      ['X-One', '3'],
    ]);
    assert.deepEqual(names(request).slice(4), [
      'x-real-ip',
      'x-forwarded-for',
      'x-forwarded-proto',
      'x-forwarded-host',
      'x-forwarded-port',
    ]);
  });

  it('of identity never come from the client, in whatever spelling (GHSA-x677-9fxg-v5c5)', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    const spellings = [
      'X-Consumer-Username',
      'x-consumer-username',
      'X_Consumer_Username',
      'x.consumer.username',
      'X-Consumer_Username',
      'X.Consumer-Username',
      'X!Consumer!Username',
      'X-Consumer-Custom-ID',
      'X_CONSUMER_CUSTOM_ID',
      'X-Credential-Identifier',
      'X-Credential_Identifier',
      'X-Consumer-Group-Id',
      'X-Userinfo',
      'X_Userinfo',
    ];
    client.write(`GET / HTTP/1.1\r\n${host}${spellings.map((name) => `${name}: root\r\n`).join('')}X-Kept: 1\r\n\r\n`);
    await client.response();
    const [request] = upstream.requests;
    assert.equal(request?.header('x-kept'), '1');
    assert.ok(!request.fields.some(([, value]) => value === 'root'), JSON.stringify(request.fields));
  });

  it("of identity survive a client's Connection header (CVE-2021-32813, CVE-2026-33805)", async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({
      resources: {
        ...routeTo(upstream, { plugins: { 'key-auth': {} } }),
        'consumers/jack': { username: 'jack', plugins: { 'key-auth': { key: 'k' } } },
      },
    });
    using client = await gateway.connect();
    client.write(
      `GET / HTTP/1.1\r\n${host}apikey: k\r\nX-Consumer-Username: root\r\nConnection: X-Consumer-Username, X-Forwarded-For, X-Real-IP\r\n\r\n`,
    );
    assert.equal((await client.response()).status, 200);
    const [request] = upstream.requests;
    assert.deepEqual(request?.all('x-consumer-username'), ['jack']);
    assert.deepEqual(request.all('x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual(request.all('x-real-ip'), ['127.0.0.1']);
  });

  it('X-Forwarded-* and X-Real-IP are rebuilt for an untrusted peer (CVE-2026-35051)', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(
      `GET / HTTP/1.1\r\n${host}X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 666\r\nX-Real-IP: 6.6.6.6\r\nx.real.ip: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n`,
    );
    await client.response();
    const [request] = upstream.requests;
    const forwarded = request?.fields.filter(([name]) => /^(x.real|x.forwarded|forwarded)/i.test(name));
    assert.deepEqual(forwarded, [
      ['X-Real-IP', '127.0.0.1'],
      ['X-Forwarded-For', '127.0.0.1'],
      ['X-Forwarded-Proto', 'http'],
      ['X-Forwarded-Host', 'a.example'],
      ['X-Forwarded-Port', String(gateway.port)],
    ]);
  });

  it('X-Forwarded-* of a trusted peer are kept and continued', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream), trust: trustLoopback });
    using client = await gateway.connect();
    client.write(
      `GET / HTTP/1.1\r\n${host}X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public.example\r\nX-Forwarded-Port: 443\r\n\r\n`,
    );
    await client.response();
    const [request] = upstream.requests;
    assert.equal(request?.header('x-real-ip'), '192.0.2.9');
    assert.equal(request.header('x-forwarded-for'), '192.0.2.9, 127.0.0.1');
    assert.equal(request.header('x-forwarded-proto'), 'https');
    assert.equal(request.header('x-forwarded-host'), 'public.example');
    assert.equal(request.header('x-forwarded-port'), '443');
  });

  it('name one host, the one that was routed: the authority of an absolute-form target goes before Host', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream, { host: 'inner.example' }) });
    using client = await gateway.connect();
    client.write(`GET http://inner.example/x HTTP/1.1\r\nHost: other.example\r\n\r\n`);
    assert.equal((await client.response()).status, 200);
    assert.deepEqual(upstream.requests[0]?.all('host'), ['inner.example']);
    assert.equal(upstream.requests[0].target, '/x');
    client.write(`GET http://other.example/x HTTP/1.1\r\nHost: inner.example\r\n\r\n`);
    assert.equal((await client.response()).status, 404);
  });
});

describe('request bodies', () => {
  it('keep their framing: a length, chunks with trailers, none', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(`POST /1 HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`);
    await client.response();
    client.write(
      `POST /2 HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n`,
    );
    await client.response();
    client.write(`POST /3 HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`);
    await client.response();
    client.write(`GET /4 HTTP/1.1\r\n${host}\r\n`);
    await client.response();
    const [length, chunked, empty, none] = upstream.requests;
    assert.equal(length?.header('content-length'), '5');
    assert.equal(length.body.toString(), 'hello');
    assert.equal(chunked?.header('transfer-encoding'), 'chunked');
    assert.equal(chunked.header('content-length'), undefined);
    assert.equal(chunked.body.toString(), 'hello!');
    assert.deepEqual(chunked.trailers, [['X-Sum', '1']]);
    assert.equal(empty?.header('content-length'), '0');
    assert.equal(none?.header('content-length') ?? none?.header('transfer-encoding'), undefined);
    assert.equal(upstream.peers.length, 1);
  });

  it('are refused with 413 beyond the limit, announced or not', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream), maxBodyBytes: 10 });
    for (const rest of [
      'Content-Length: 11\r\n\r\n',
      'Transfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n',
    ]) {
      using client = await gateway.connect();
      client.write(`POST / HTTP/1.1\r\n${host}${rest}`);
      assert.equal((await client.response()).status, 413);
    }
    assert.equal(upstream.requests.length, 0);
  });

  it('that break off never reach the upstream as whole', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    for (const rest of ['Content-Length: 10\r\n\r\nhello', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n']) {
      using client = await gateway.connect();
      client.write(`POST / HTTP/1.1\r\n${host}${rest}`);
      const peer = await upstream.peer(upstream.peers.length);
      await peer.until(() => peer.text.includes('hello'));
      client.end();
      assert.equal((await client.response()).status, 400);
      await peer.untilEnd();
      assert.equal(upstream.requests.length, 0);
    }
  });

  it('that turn out malformed are refused, and the upstream connection is closed', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n${host}\r\n`,
    );
    assert.equal((await client.response()).status, 400);
    assert.equal(await client.untilEnd(), '');
    await (await upstream.peer(0)).untilEnd();
    assert.equal(upstream.requests.length, 0);
  });

  it('wait for 100 Continue, which the gateway gives when it takes the body', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(`POST /e HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    assert.equal((await client.response()).status, 100);
    client.write('body');
    assert.equal((await client.response()).status, 200);
    assert.equal(upstream.requests[0]?.body.toString(), 'body');
    assert.equal(upstream.requests[0].header('expect'), undefined);
  });

  it('of a refused request are not asked for with 100 Continue', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ resources: routeTo(upstream, { plugins: { 'key-auth': {} } }) });
    using client = await gateway.connect();
    client.write(`POST /e HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    assert.equal((await client.response()).status, 401);
    assert.equal(await client.untilEnd(), '');
  });
});

describe('responses', () => {
  const respond = async (response: string, request = `GET / HTTP/1.1\r\n${host}\r\n`, bodyless = false) => {
    await using upstream = await startUpstream(async (peer) => {
      await peer.request();
      peer.write(response);
      if (!/content-length|chunked/i.test(response)) peer.end();
    });
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(request);
    const answer = await client.response(bodyless);
    return { answer, client, gateway };
  };

  it('lose their hop-by-hop fields and those that Connection lists', async () => {
    const { answer } = await respond(
      'HTTP/1.1 200 Fine\r\nX-A: 1\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nTrailer: X\r\nServer: inner\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nok',
    );
    assert.equal(answer.reason, 'Fine');
    assert.deepEqual(
      answer.fields.filter(([name]) => name !== 'Date'),
      [
        ['X-A', '1'],
        ['X-A', '2'],
        ['Server', 'Gatewright'],
        ['Content-Length', '2'],
        ['Connection', 'keep-alive'],
      ],
    );
  });

  it('keep chunks and trailers for HTTP/1.1', async () => {
    const { answer } = await respond(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n',
    );
    assert.equal(answer.header('transfer-encoding'), 'chunked');
    assert.equal(answer.body.toString(), 'abcde');
    assert.deepEqual(answer.trailers, [['X-Sum', '9']]);
  });

  it('of unknown length end with the connection for HTTP/1.0', async () => {
    const { answer } = await respond(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
      'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
    );
    assert.equal(answer.header('transfer-encoding'), undefined);
    assert.equal(answer.header('connection'), 'close');
    assert.equal(answer.body.toString(), 'abc');
  });

  it('that end with the upstream connection are chunked for HTTP/1.1', async () => {
    const { answer } = await respond('HTTP/1.0 200 OK\r\n\r\nall of it');
    assert.equal(answer.header('transfer-encoding'), 'chunked');
    assert.equal(answer.body.toString(), 'all of it');
  });

  it('to HEAD keep the length and have no body', async () => {
    const { answer } = await respond(
      'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n',
      `HEAD / HTTP/1.1\r\n${host}\r\n`,
      true,
    );
    assert.equal(answer.header('content-length'), '1234');
  });

  it('204 and 304 have no body', async () => {
    for (const status of ['204 No Content', '304 Not Modified']) {
      await using upstream = await startUpstream(answering(`HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`));
      await using gateway = await startGateway({ resources: routeTo(upstream) });
      using client = await gateway.connect();
      for (let i = 0; i < 2; i++) {
        client.write(`GET / HTTP/1.1\r\n${host}\r\n`);
        const answer = await client.response();
        assert.equal(`${answer.status} ${answer.reason}`, status);
        assert.equal(answer.header('transfer-encoding') ?? answer.header('content-length'), undefined);
      }
      assert.equal(upstream.peers.length, 1);
    }
  });

  it('1xx go to HTTP/1.1 clients only, and 100 to nobody', async () => {
    const both =
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    await using upstream = await startUpstream(answering(both));
    await using gateway = await startGateway({ resources: routeTo(upstream) });
    using client = await gateway.connect();
    client.write(`GET / HTTP/1.1\r\n${host}\r\n`);
    const hints = await client.response();
    assert.equal(hints.status, 103);
    assert.deepEqual(hints.fields, [['Link', '</a>']]);
    assert.equal((await client.response()).status, 200);
    using old = await gateway.connect();
    old.write('GET / HTTP/1.0\r\n\r\n');
    assert.equal((await old.response()).status, 200);
  });
});
