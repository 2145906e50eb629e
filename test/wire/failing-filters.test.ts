/** Plugins that fail while an answer is made: the client gets 500, nothing of what was to be filtered, and nothing stays behind. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Exchange } from '../../src/plugin/exchange.ts';
import { type AnyPlugin, definePlugin, type Reply } from '../../src/plugin/plugin.ts';
import { answering, routeTo, startGateway, startUpstream } from './gateway.ts';

type Phases = Partial<Pick<AnyPlugin, 'access' | 'upstreamResponse' | 'headerFilter' | 'bodyFilter'>>;

const plugin = (phases: Phases): AnyPlugin =>
  definePlugin({
    name: 'failing',
    priority: 1,
    schema: { type: 'object' },
    compile: () => undefined,
    ...phases,
  } as AnyPlugin);

const throws = (): never => {
  throw new Error('on purpose');
};
const later = async (reply: Reply): Promise<Reply> => {
  await Promise.resolve();
  return reply;
};
const replaced = (_: unknown, exchange: Exchange): void => {
  exchange.response.replaceBody('the secret, in other words');
};
const circular: Record<string, unknown> = {};
circular['itself'] = circular;
const refusal = { status: 403, body: 'the secret of a refusal' };
const splitting = { status: 403, headers: { 'X-A': 'a\r\nX-B: b' } };

const cases: readonly (readonly [what: string, phases: Phases])[] = [
  ['a body filter, at a refusal', { access: () => refusal, bodyFilter: throws }],
  ['a body filter, at a refusal that was waited for', { access: () => later(refusal), bodyFilter: throws }],
  ['a body filter, at a body that header_filter replaced', { headerFilter: replaced, bodyFilter: throws }],
  ['a body filter, at a response that was judged and replaced', { upstreamResponse: replaced, bodyFilter: throws }],
  [
    'a body filter, at a response that was judged and refused',
    { upstreamResponse: () => later(refusal), bodyFilter: throws },
  ],
  ['a reply whose header would end its line', { access: () => splitting }],
  ['a reply whose header would end its line, waited for', { access: () => later(splitting) }],
  ['a reply to a judged response whose header would end its line', { upstreamResponse: () => later(splitting) }],
  ['a reply that cannot be written as JSON', { access: () => later({ status: 403, body: circular }) }],
  [
    'a reply to a judged response that cannot be written as JSON',
    { upstreamResponse: () => later({ status: 403, body: circular }) },
  ],
];

describe('what fails while the answer is made is 500', () => {
  for (const [what, phases] of cases)
    it(what, { timeout: 10_000 }, async () => {
      await using upstream = await startUpstream(answering('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nthe secret'));
      await using gateway = await startGateway({
        resources: routeTo(upstream, { plugins: { failing: {} } }),
        plugins: [plugin(phases)],
      });
      using client = await gateway.connect();
      client.write('GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n');
      const { status, body, header } = await client.response();
      assert.equal(status, 500);
      assert.equal(body.toString(), '{"error_msg":"500 Internal Server Error"}\n');
      assert.equal(header('x-b'), undefined);
      await gateway.accessed(1);
      assert.equal(gateway.failures.length, 1, String(gateway.failures));
      assert.equal(gateway.proxy.inFlight, 0);
    });
});
