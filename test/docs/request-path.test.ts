/** docs/request-path.md against the code: its files exist, and a request on a real socket meets its steps in its order. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { catalogue } from '../../src/errors/catalogue.ts';
import { type AnyPlugin, definePlugin } from '../../src/plugin/plugin.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';
import { type Gateway, startGateway } from '../wire/gateway.ts';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/request-path.md', root), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| step '))
  .map((line) => {
    const [step = '', code = '', , end = ''] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    return { step, file: code.replaceAll('`', ''), end };
  });
/** These have no plugin phase to be seen by: the parser, the exchange's constructor, the router. */
const beforePlugins = ['head', 'exchange', 'match'];

describe('docs/request-path.md', () => {
  it('names files that exist', () => {
    assert.ok(rows.length > 8);
    assert.deepEqual(
      rows.map(({ file }) => file).filter((file) => !existsSync(new URL(file, root))),
      [],
    );
  });

  it("names statuses that are the catalogue's", () => {
    const statuses = new Set<number>(Object.values(catalogue).map(({ status }) => status));
    const named = rows.flatMap(({ end }) => end.match(/\b[1-5]\d\d\b/g) ?? []).map(Number);
    assert.ok(named.length > 15);
    assert.deepEqual(
      named.filter((status) => !statuses.has(status)),
      [],
    );
  });
});

describe('a request', () => {
  const seen: string[] = [];
  let upstream: TestUpstream;
  let gateway: Gateway;
  before(async () => {
    upstream = await startUpstream((_, response) => {
      seen.push('upstream');
      response.end('answer');
    });
    const nodes = { type: 'roundrobin', nodes: { [upstream.node]: 1 } };
    gateway = await startGateway({
      plugins: [tracer('trace-global', seen), tracer('trace-route', seen), tracer('trace-consumer', seen)],
      resources: {
        'global_rules/1': { plugins: { 'trace-global': {} } },
        'consumers/jack': {
          username: 'jack',
          plugins: { 'key-auth': { key: 'jack-key' }, 'trace-consumer': {} },
        },
        'routes/1': { uri: '/traced', plugins: { 'key-auth': {}, 'trace-route': {} }, upstream: nodes },
      },
    });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  it('meets the steps in the order of the page', async () => {
    using client = await gateway.connect();
    client.write('GET /traced HTTP/1.1\r\nHost: a\r\napikey: jack-key\r\n\r\n');
    assert.equal((await client.response()).status, 200);
    await gateway.accessed(1);
    const steps = seen.filter((step, index) => step !== seen[index - 1]);
    assert.deepEqual(
      [...beforePlugins, ...steps],
      rows.map(({ step }) => step),
    );
  });

  it("that no route matches meets the global rules, and ends with the page's status", async () => {
    seen.length = 0;
    using client = await gateway.connect();
    client.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await client.response()).status, 404);
    assert.deepEqual(new Set(seen), new Set(['global rules']));
  });
});

/** Writes down the step of the page at which each of its phases runs. */
function tracer(name: string, seen: string[]): AnyPlugin {
  const onRoute = name === 'trace-route';
  const at = (step: string): void => {
    seen.push(name === 'trace-global' ? 'global rules' : step);
  };
  return definePlugin({
    name,
    priority: 1,
    schema: { type: 'object' },
    compile: () => undefined,
    rewrite: () => {
      at(onRoute ? 'rewrite' : 'consumer');
    },
    access: () => {
      at('access');
    },
    beforeProxy: () => {
      at('before_proxy');
    },
    ...(onRoute
      ? {
          upstreamResponse: () => {
            at('upstream_response');
          },
          headerFilter: () => {
            at('header_filter');
          },
          bodyFilter: (_state: undefined, _exchange: unknown, chunk: Uint8Array) => {
            at('body_filter');
            return chunk;
          },
          log: () => {
            at('log');
          },
        }
      : {}),
  });
}
