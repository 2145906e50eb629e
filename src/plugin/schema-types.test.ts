/** Types that follow from schemas; `tsc` is the judge, and what runs only shows that nothing is changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin } from './plugin.ts';
import type { ConfigOf, FromSchema, StandardSchema } from './schema-types.ts';

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the compiler's own way to compare two types
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_holds: Same<A, B>): void {
  // Does not compile where it does not hold.
}

test('config and state have the types of a literal JSON Schema, and of what compile returns', () => {
  const plugin = definePlugin({
    name: 'typed',
    priority: 1,
    schema: {
      type: 'object',
      properties: {
        name: { type: 'string' },
        count: { type: 'integer', default: 3 },
        mode: { enum: ['open', 'closed'] },
        nested: { type: 'object', properties: { list: { type: 'array', items: { type: 'number' } } } },
        either: { anyOf: [{ type: 'string' }, { type: 'null' }] },
        free: { type: 'object', additionalProperties: { type: 'boolean' } },
      },
      required: ['name', 'mode'],
    },
    compile(config, deps) {
      same<
        typeof config,
        {
          name: string;
          count: number;
          mode: 'open' | 'closed';
          nested?: { list?: number[] };
          either?: string | null;
          free?: Record<string, boolean>;
        }
      >(true);
      deps.log.info(config.name);
      return { limit: config.count * 2 };
    },
    rewrite(state, exchange) {
      same<typeof state, { limit: number }>(true);
      if (exchange.path.length > state.limit) return { status: 414 };
      return undefined;
    },
    async access(state) {
      await Promise.resolve(state.limit);
    },
  });
  assert.equal(plugin.name, 'typed');
});

test('without compile the state is the configuration', () => {
  const plugin = definePlugin({
    name: 'plain',
    priority: 1,
    schema: { type: 'object', properties: { header: { type: 'string', default: 'X' } } },
    rewrite(config, exchange) {
      same<typeof config, { header: string }>(true);
      exchange.headers.set(config.header, '1');
    },
  });
  assert.ok(!('compile' in plugin));
});

test('a credential has the type of consumerSchema, and named types go before schemas', () => {
  definePlugin({
    name: 'who',
    priority: 1,
    type: 'auth',
    schema: { type: 'object' },
    consumerSchema: { type: 'object', properties: { key: { type: 'string' } }, required: ['key'] },
    credential: {
      compile(config) {
        same<typeof config, { key: string }>(true);
        return { indexKey: config.key, state: undefined };
      },
    },
    compile: (_config, deps) => deps.credentials,
    rewrite(index, exchange) {
      if (index.find(exchange.arg('key') ?? '') === undefined) return { status: 401 };
      return undefined;
    },
  });
  interface Config {
    a: number;
  }
  definePlugin<Config, number>({
    name: 'named',
    priority: 1,
    schema: { type: 'object' },
    compile: (config) => config.a,
    rewrite(state) {
      same<typeof state, number>(true);
      assert.ok(state);
    },
  });
});

test('what is wrong does not compile', () => {
  definePlugin({
    name: 'wrong',
    priority: 1,
    schema: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] },
    // @ts-expect-error -- a number has no such method
    // eslint-disable-next-line @typescript-eslint/no-unsafe-call -- as above
    compile: (config) => config.n.toUpperCase() as string,
  });
  definePlugin({
    name: 'wrong',
    priority: 1,
    schema: { type: 'object' },
    compile: () => 1,
    // @ts-expect-error -- a reply has a status
    rewrite: () => ({ code: 403 }),
  });
});

test('TypeBox and Standard Schema libraries give their own types', () => {
  same<ConfigOf<{ type: 'object'; static: { a: string } }>, { a: string }>(true);
  same<ConfigOf<StandardSchema<{ a?: string }, { a: string }>>, { a: string }>(true);
  same<FromSchema<{ readonly type: readonly ['string', 'null'] }>, string | null>(true);
  same<FromSchema<{ readonly const: 5 }>, 5>(true);
});
