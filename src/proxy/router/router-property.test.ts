/** Random routes, changes and requests against a matcher that tries every route in turn. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createRandom } from '../../random.fixture.ts';
import type { RouteEntry, RouterMode, RouteSubject } from './route-entry.ts';
import { createRouter } from './router.ts';

type Entry = RouteEntry<string>;

/** How well a uri matches: exact, or the length of its literal start; undefined: not at all. */
function uriRank(uri: string, path: string, parameters: boolean): number | undefined {
  const source = uri
    .split('/')
    .map((part) =>
      parameters && part.startsWith(':') ? '[^/]+' : part.replace(/[.$]/g, '\\$&').replace(/\*.*/, '[^]*'),
    )
    .join('/');
  if (!new RegExp(`^${source}$`).test(path)) return undefined;
  const special = uri.search(parameters ? /\/:|\*/ : /\*/);
  return special === -1 ? Infinity : special + (uri[special] === '/' ? 1 : 0);
}

/** exact 1000, wildcard by length, any host 0; undefined: not at all. */
function hostRank(hosts: readonly string[], host: string): number | undefined {
  if (hosts.length === 0) return 0;
  const ranks = hosts
    .map((each) => each.toLowerCase())
    .map((each) => (each === host ? 1000 : each.startsWith('*') && host.endsWith(each.slice(1)) ? each.length : -1));
  const best = Math.max(...ranks);
  return best === -1 ? undefined : best;
}

function referenceMatch(
  entries: Iterable<Entry>,
  { method, path, host }: RouteSubject,
  mode: RouterMode,
): string | undefined {
  const rows: { id: string; keys: number[] }[] = [];
  for (const { id, uris, hosts, methods, priority } of entries) {
    const byHost = hostRank(hosts, host);
    if (byHost === undefined || (methods !== undefined && !methods.includes(method))) continue;
    for (const uri of uris) {
      const byUri = uriRank(uri, path, mode === 'radixtree_uri_with_parameter');
      if (byUri === undefined) continue;
      rows.push({ id, keys: [mode === 'radixtree_host_uri' ? byHost : 0, byUri, priority, uri.length] });
    }
  }
  rows.sort((a, b) => {
    const differing = a.keys.findIndex((key, i) => key !== b.keys[i]);
    if (differing === -1) return a.id < b.id ? -1 : 1;
    return (b.keys[differing] ?? 0) > (a.keys[differing] ?? 0) ? 1 : -1;
  });
  return rows[0]?.id;
}

const seed = Number(process.env['SEED'] ?? Date.now() % 1e9);

for (const mode of ['radixtree_uri', 'radixtree_host_uri', 'radixtree_uri_with_parameter'] as const) {
  suite(mode, () => {
    test(`after any sequence of put and remove answers as a linear matcher does (seed ${String(seed)})`, () => {
      const { int: random, pick } = createRandom(seed);
      const parts = ['a', 'b', 'ab', 'abc', 'a.b', 'A', '', ':x', ':y', 'é'];
      const suffixes = ['', '', '*', '/*', '/*rest', '/'];
      const hosts = ['a.com', 'A.com', 'x.a.com', 'y.x.a.com', '*.a.com', '*.x.a.com', '*.com', '*a.com', '*', 'b.org'];
      const requestHosts = ['a.com', 'x.a.com', 'y.x.a.com', 'ba.com', 'b.org', 'c.net', ''];
      const uri = () =>
        `/${Array.from({ length: random(4) }, () => pick(parts)).join('/')}${pick(suffixes)}`.replace(/^\/\/+/, '/');
      const path = () =>
        `/${Array.from({ length: random(5) }, () => pick(['a', 'b', 'ab', 'abc', 'a.b', 'A', '', 'é', ':x'])).join('/')}`;
      for (let round = 0; round < 30; round++) {
        const router = createRouter<string>({ mode });
        const entries = new Map<string, Entry>();
        for (let step = 0; step < 120; step++) {
          const id = String(random(40));
          if (random(3) === 0) {
            assert.equal(router.remove(id), entries.delete(id));
          } else {
            const entry: Entry = {
              id,
              uris: Array.from({ length: 1 + random(3) }, uri),
              hosts: random(2) === 0 ? [] : Array.from({ length: 1 + random(3) }, () => pick(hosts)),
              methods: random(3) === 0 ? [pick(['GET', 'POST'])] : undefined,
              remoteAddrs: undefined,
              vars: undefined,
              priority: random(3),
              value: id,
            };
            router.put(entry);
            entries.set(id, entry);
          }
          assert.equal(router.size, entries.size);
          for (let request = 0; request < 5; request++) {
            const subject: RouteSubject = {
              method: pick(['GET', 'POST']),
              path: path(),
              host: pick(requestHosts),
              remoteAddress: '127.0.0.1',
              variable: () => undefined,
            };
            const expected = referenceMatch(entries.values(), subject, mode);
            const context = `${subject.method} ${subject.host} ${subject.path} among ${JSON.stringify([...entries.values()])}`;
            assert.equal(router.match(subject)?.value, expected, context);
            assert.equal(router.explain(subject).matched?.id, expected, context);
          }
        }
        for (const id of entries.keys()) router.remove(id);
        assert.equal(router.size, 0);
        assert.equal(
          router.match({ method: 'GET', path: '/a', host: 'a.com', remoteAddress: '', variable: () => undefined }),
          undefined,
        );
      }
    });
  });
}
