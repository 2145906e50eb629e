import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ConfigError } from '../../errors/gateway-error.ts';
import type { RouteEntry, RouterMode, RouteSubject } from './route-entry.ts';
import { createRouter, type Router } from './router.ts';

type Entry = RouteEntry<string>;

function entry(id: string, uris: string | string[], rest: Partial<Entry> = {}): Entry {
  return {
    id,
    uris: typeof uris === 'string' ? [uris] : uris,
    hosts: [],
    methods: undefined,
    remoteAddrs: undefined,
    vars: undefined,
    priority: 0,
    value: id,
    ...rest,
  };
}

function subject(path: string, rest: Partial<RouteSubject> & { vars?: Record<string, string> } = {}): RouteSubject {
  return {
    method: 'GET',
    path,
    host: 'a.com',
    remoteAddress: '127.0.0.1',
    variable: (name) => rest.vars?.[name],
    ...rest,
  };
}

function routerOf(mode: RouterMode, ...entries: Entry[]): Router<string> {
  const router = createRouter<string>({ mode });
  for (const each of entries) router.put(each);
  return router;
}

const modes: RouterMode[] = ['radixtree_uri', 'radixtree_host_uri', 'radixtree_uri_with_parameter'];

for (const mode of modes) {
  suite(`${mode}: what every mode does`, () => {
    const docs = routerOf(
      mode,
      ...['/blog/foo/*', '/blog/foo/a/*', '/blog/foo/c/*', '/blog/foo/bar', '/pre*'].map((uri) => entry(uri, uri)),
    );
    const precedence: [path: string, uri: string | undefined][] = [
      ['/blog/foo/bar', '/blog/foo/bar'],
      ['/blog/foo/a/b/c', '/blog/foo/a/*'],
      ['/blog/foo/c/d', '/blog/foo/c/*'],
      ['/blog/foo/gloo', '/blog/foo/*'],
      ['/blog/foo/', '/blog/foo/*'],
      ['/blog/foo', undefined],
      ['/blog/bar', undefined],
      ['/blog/foo/bar/', '/blog/foo/*'],
      ['/pre', '/pre*'],
      ['/prefix/x', '/pre*'],
      ['/pr', undefined],
      ['', undefined],
      ['*', undefined],
    ];
    for (const [path, uri] of precedence) {
      test(`${path} is answered by ${uri ?? 'none'}`, () => {
        assert.equal(docs.match(subject(path))?.value, uri);
      });
    }

    test('an exact uri that fails another condition leaves the request to the longest prefix', () => {
      const router = routerOf(
        mode,
        entry('exact', '/a/b', { methods: ['POST'] }),
        entry('long', '/a/*'),
        entry('all', '/*'),
      );
      assert.equal(router.match(subject('/a/b'))?.value, 'long');
      assert.equal(router.match(subject('/a/b', { method: 'POST' }))?.value, 'exact');
    });

    test('of one uri the higher priority goes first, then the smaller id, in whatever order they were put', () => {
      const entries = [entry('b', '/x'), entry('c', '/x', { priority: 1 }), entry('a', '/x')];
      for (const order of [entries, entries.toReversed()]) {
        const router = routerOf(mode, ...order);
        assert.equal(router.match(subject('/x'))?.value, 'c');
        router.remove('c');
        assert.equal(router.match(subject('/x'))?.value, 'a');
      }
    });

    test('a longer uri goes before a higher priority', () => {
      const router = routerOf(mode, entry('short', '/a*', { priority: 9 }), entry('long', '/ab*'));
      assert.equal(router.match(subject('/abc'))?.value, 'long');
    });

    test('methods, remote addresses and vars each narrow a route', () => {
      const router = routerOf(
        mode,
        entry('1', '/m', { methods: ['GET', 'HEAD'] }),
        entry('2', '/r', { remoteAddrs: ['10.0.0.0/8', '::1'] }),
        entry('3', '/v', { vars: [['arg_x', '==', '1']] }),
      );
      assert.equal(router.match(subject('/m'))?.value, '1');
      assert.equal(router.match(subject('/m', { method: 'POST' })), undefined);
      assert.equal(router.match(subject('/m', { method: 'get' })), undefined);
      assert.equal(router.match(subject('/r', { remoteAddress: '10.9.9.9' }))?.value, '2');
      assert.equal(router.match(subject('/r')), undefined);
      assert.equal(router.match(subject('/r', { remoteAddress: 'unknown' })), undefined);
      assert.equal(router.match(subject('/v', { vars: { arg_x: '1' } }))?.value, '3');
      assert.equal(router.match(subject('/v')), undefined);
    });

    const hosts: [pattern: string, host: string, expected: boolean][] = [
      ['a.com', 'a.com', true],
      ['A.Com', 'a.com', true],
      ['a.com', 'b.a.com', false],
      ['*.a.com', 'b.a.com', true],
      ['*.A.com', 'b.a.com', true],
      ['*.a.com', 'c.b.a.com', true],
      ['*.a.com', 'a.com', false],
      ['*.a.com', 'ba.com', false],
      ['*a.com', 'ba.com', true],
      ['*a.com', 'a.com', true],
      ['*', 'a.com', true],
      ['*.a.com', '', false],
      ['a.com:8080', 'a.com', false],
    ];
    for (const [pattern, host, expected] of hosts) {
      test(`host ${pattern} ${expected ? 'takes' : 'does not take'} ${host || 'a request without a host'}`, () => {
        const router = routerOf(mode, entry('1', '/*', { hosts: ['other.org', pattern] }));
        assert.equal(router.match(subject('/x', { host })) !== undefined, expected);
        router.remove('1');
        assert.equal(router.match(subject('/x', { host })), undefined);
      });
    }

    test('wildcards without a dot come and go one by one', () => {
      // Each goes before what it would stand in for.
      const hosts = ['*', '*a.com', '*.b.com', '*b.com'];
      const router = routerOf(mode, ...hosts.map((host) => entry(host, '/', { hosts: [host] })));
      for (const removed of hosts) {
        router.remove(removed);
        for (const left of hosts.slice(hosts.indexOf(removed) + 1)) {
          const match = router.match(subject('/', { host: `x${left.slice(1)}` }));
          assert.ok(match, `${left} after ${removed} went`);
        }
      }
      assert.equal(router.match(subject('/')), undefined);
    });

    test('a host with a port is compared with the Host header as sent', () => {
      const router = routerOf(mode, entry('1', '/*', { hosts: ['A.com:8080', '*.b.com:81', '[::1]'] }));
      assert.equal(router.match(subject('/', { vars: { http_host: 'a.COM:8080' } }))?.value, '1');
      assert.equal(router.match(subject('/', { vars: { http_host: 'a.com:8081' } })), undefined);
      assert.equal(router.match(subject('/', { host: 'x.b.com', vars: { http_host: 'x.b.com:81' } }))?.value, '1');
      assert.equal(router.match(subject('/', { host: '[::1]', vars: { http_host: '[::1]:9080' } }))?.value, '1');
    });

    test('put replaces the entry of the same id at all its uris and hosts', () => {
      const router = routerOf(mode, entry('1', ['/a', '/b*'], { hosts: ['a.com', '*.b.com'] }));
      router.put(entry('1', '/c', { value: 'new' }));
      assert.equal(router.size, 1);
      for (const path of ['/a', '/b/x']) {
        for (const host of ['a.com', 'x.b.com']) assert.equal(router.match(subject(path, { host })), undefined);
      }
      assert.equal(router.match(subject('/c'))?.value, 'new');
    });

    test('a bad entry is refused and the old one stays', () => {
      const router = routerOf(mode, entry('1', '/a'));
      const bad: [Entry, RegExp][] = [
        [entry('1', '/b', { vars: [['arg_x', '=~', '1']] }), /invalid operator '=~'/],
        [entry('1', '/b', { remoteAddrs: ['10.0.0.0/99'] }), /invalid ip address: 10\.0\.0\.0\/99/],
        [entry('1', ['/b', 'c']), /invalid uri c/],
        [entry('1', []), /uris is empty/],
      ];
      for (const [each, message] of bad) {
        assert.throws(
          () => {
            router.put(each);
          },
          (error) => error instanceof ConfigError && message.test(error.message),
        );
        assert.equal(router.match(subject('/a'))?.value, '1');
        assert.equal(router.match(subject('/b')), undefined);
      }
    });

    test('needsBody holds while an entry reads a form or GraphQL variable', () => {
      const router = routerOf(mode, entry('1', '/a', { vars: [['arg_x', '==', '1']] }));
      assert.equal(router.needsBody, false);
      router.put(entry('2', '/a', { vars: [['OR', ['arg_x', '==', '1'], ['post_arg_name', '==', 'json']]] }));
      router.put(entry('2', '/a', { vars: [['post_arg.name', '==', 'json']] }));
      assert.equal(router.needsBody, true);
      assert.equal(router.remove('2'), true);
      assert.equal(router.remove('2'), false);
      assert.equal(router.needsBody, false);
    });

    test('a match without parameters allocates no params', () => {
      const router = routerOf(mode, entry('1', '/a'), entry('2', '/b*'));
      assert.equal(router.match(subject('/a'))?.params, router.match(subject('/bc'))?.params);
      assert.equal(router.match(subject('/a'))?.params.size, 0);
    });

    test('CVE-2026-27587: hosts match whatever their case and paths only in their own, at every number of hosts', () => {
      for (const count of [1, 100, 101, 10_000]) {
        const router = createRouter<string>({ mode });
        for (let i = 0; i < count; i++) {
          router.put(
            entry(`r${String(i)}`, ['/Admin/*', '/Exact'], {
              hosts: [`Host${String(i)}.Example`, `*.Wild${String(i)}.Example`],
            }),
          );
        }
        for (const i of new Set([0, count >> 1, count - 1])) {
          for (const host of [`host${String(i)}.example`, `x.wild${String(i)}.example`]) {
            const expected = `r${String(i)}`;
            assert.equal(router.match(subject('/Admin/x', { host }))?.value, expected, `${String(count)} hosts`);
            assert.equal(router.match(subject('/Exact', { host }))?.value, expected);
            for (const path of ['/admin/x', '/ADMIN/x', '/exact', '/EXACT', '/Admin']) {
              assert.equal(router.match(subject(path, { host })), undefined, `${String(count)} hosts: ${path}`);
            }
          }
        }
        assert.equal(router.match(subject('/Exact', { host: `host${String(count)}.example` })), undefined);
      }
    });
  });
}

suite('where the modes differ', () => {
  const entries = [
    entry('exact host', '/*', { hosts: ['x.a.com'] }),
    entry('wildcard, long path', '/api/*', { hosts: ['*.a.com'] }),
    entry('wider wildcard', '/api/v1/*', { hosts: ['*.com'] }),
    entry('any host', '/api/v1/y'),
  ];
  test('radixtree_uri takes the longest path first, then filters by host', () => {
    const router = routerOf('radixtree_uri', ...entries);
    assert.equal(router.match(subject('/api/v1/y', { host: 'x.a.com' }))?.value, 'any host');
    assert.equal(router.match(subject('/api/v1/z', { host: 'x.a.com' }))?.value, 'wider wildcard');
    assert.equal(router.match(subject('/api/z', { host: 'x.a.com' }))?.value, 'wildcard, long path');
  });
  test('radixtree_host_uri takes the exact host first, then the longest wildcard, then no host', () => {
    const router = routerOf('radixtree_host_uri', ...entries);
    assert.equal(router.match(subject('/api/v1/y', { host: 'x.a.com' }))?.value, 'exact host');
    assert.equal(router.match(subject('/api/v1/y', { host: 'z.a.com' }))?.value, 'wildcard, long path');
    assert.equal(router.match(subject('/api/v1/y', { host: 'b.com' }))?.value, 'wider wildcard');
    assert.equal(router.match(subject('/api/v1/y', { host: 'b.org' }))?.value, 'any host');
  });
  test('radixtree_host_uri leaves a request to the next host when the first has no such path', () => {
    const router = routerOf(
      'radixtree_host_uri',
      entry('1', '/a', { hosts: ['x.a.com'] }),
      entry('2', '/*', { hosts: ['*.a.com'] }),
    );
    assert.equal(router.match(subject('/b', { host: 'x.a.com' }))?.value, '2');
  });
  test('radixtree_uri puts priority before how exactly a host is named', () => {
    const router = routerOf(
      'radixtree_uri',
      entry('1', '/', { hosts: ['x.a.com'] }),
      entry('2', '/', { hosts: ['*.a.com'], priority: 1 }),
    );
    assert.equal(router.match(subject('/', { host: 'x.a.com' }))?.value, '2');
  });
  test('a colon is literal unless parameters are on', () => {
    assert.equal(routerOf('radixtree_uri', entry('1', '/:id')).match(subject('/7')), undefined);
    assert.equal(routerOf('radixtree_uri', entry('1', '/:id')).match(subject('/:id'))?.value, '1');
  });
});

suite('paths with parameters', () => {
  const cases: [uri: string, path: string, params: Record<string, string> | undefined][] = [
    ['/user/:user', '/user/john', { user: 'john' }],
    ['/user/:user', '/user/', undefined],
    ['/user/:user', '/user', undefined],
    ['/user/:user', '/user/john/', undefined],
    ['/user/:user', '/user/john/x', undefined],
    ['/user/:user/*action', '/user/john/', { user: 'john', action: '' }],
    ['/user/:user/*action', '/user/john/send/now', { user: 'john', action: 'send/now' }],
    ['/user/:user/*action', '/user/john', undefined],
    ['/user/:user/*', '/user/john/x', { user: 'john' }],
    ['/:a/x/:b', '/1/x/2', { a: '1', b: '2' }],
    ['/:a/x/:b', '/1/y/2', undefined],
    ['/:a/:b/', '/1/2/', { a: '1', b: '2' }],
    ['/:a/:b/', '/1/2', undefined],
    ['/x/*rest', '/x/a/b', { rest: 'a/b' }],
    ['/x/*rest', '/x/', { rest: '' }],
    ['/a/*mid/b', '/a/1/2/b', { mid: '1/2' }],
    ['/a/*mid/b', '/a/1/2/c', undefined],
    ['/a/*/:id/b', '/a/x/y/7/b', { id: '7' }],
    ['/:id/v*', '/7/v2/x', { id: '7' }],
    ['/foo:bar', '/foo:bar', {}],
    ['/foo:bar', '/foo', undefined],
    ['/a.b*c', '/a.bxc', {}],
    ['/a.b*c', '/axbxc', undefined],
  ];
  for (const [uri, path, params] of cases) {
    test(`${uri} ${params === undefined ? 'does not match' : 'matches'} ${path}`, () => {
      const router = routerOf('radixtree_uri_with_parameter', entry('1', uri));
      const match = router.match(subject(path));
      assert.deepEqual(match && Object.fromEntries(match.params), params);
      assert.equal(router.explain(subject(path)).misses.length, params === undefined ? 1 : 0);
      router.remove('1');
      assert.equal(router.match(subject(path)), undefined);
    });
  }

  test('an exact path goes before a parameter, and a longer literal start before a shorter', () => {
    const router = routerOf(
      'radixtree_uri_with_parameter',
      ...['/u/me', '/u/:id', '/u/*', '/u/x/:id', '/*'].map((uri) => entry(uri, uri)),
    );
    for (const [path, uri] of [
      ['/u/me', '/u/me'],
      ['/u/you', '/u/:id'],
      ['/u/x/1', '/u/x/:id'],
      ['/u/y/1', '/u/*'],
      ['/v', '/*'],
    ] as const) {
      assert.equal(router.match(subject(path))?.value, uri, path);
    }
  });

  test('a parameter without a name is refused', () => {
    assert.throws(() => routerOf('radixtree_uri_with_parameter', entry('1', '/a/:/b')), ConfigError);
  });
});

suite('explain', () => {
  test('names the match, and why the nearest others are none, the nearest first', () => {
    const router = routerOf(
      'radixtree_uri',
      entry('far', '/else'),
      entry('near', '/api/users'),
      entry('host', '/api/*', { hosts: ['b.com'] }),
      entry('method', '/api/*', { methods: ['POST'] }),
      entry('address', '/api/*', { remoteAddrs: ['10.0.0.0/8'] }),
      entry('vars', '/api/*', { vars: [['arg_x', '==', '1']] }),
      entry('match', '/api/*'),
    );
    assert.deepEqual(router.explain(subject('/api/orders')), {
      matched: { id: 'match', uri: '/api/*' },
      misses: [
        { id: 'vars', reason: 'vars', detail: 'vars do not hold: [["arg_x","==","1"]]' },
        { id: 'address', reason: 'remote_addr', detail: 'address 127.0.0.1 is not in 10.0.0.0/8' },
        { id: 'method', reason: 'method', detail: 'method GET is not in POST' },
        { id: 'host', reason: 'host', detail: 'host a.com is not in b.com' },
        { id: 'near', reason: 'path', detail: 'path /api/orders does not match /api/users' },
        { id: 'far', reason: 'path', detail: 'path /api/orders does not match /else' },
      ],
    });
  });

  test('stops at 10', () => {
    const router = routerOf(
      'radixtree_uri',
      ...Array.from({ length: 30 }, (_, i) => entry(String(i), `/r${String(i)}`)),
    );
    const explanation = router.explain(subject('/x'));
    assert.equal(explanation.matched, undefined);
    assert.equal(explanation.misses.length, 10);
  });
});
