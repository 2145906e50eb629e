/** What `gatewright plugin new` writes. A test runs what comes out. */

/** `name`: kebab case. */
export function pluginSource(name: string): string {
  const header = headerOf(name);
  return `/** ${name}: sets a header of the request before it goes upstream. */
import { definePlugin } from 'gatewright/plugin';

export default definePlugin({
  name: '${name}',
  // Higher runs earlier: key-auth has 2500, proxy-rewrite 1008, limit-count 1002.
  priority: 500,

  // What may stand in a route under "${name}". Configuration that does not fit is refused when it is written; the types follow.
  schema: {
    type: 'object',
    properties: {
      header: { type: 'string', minLength: 1, default: '${header}', description: 'Name of the header.' },
      value: { type: 'string', minLength: 1, description: 'Its value.' },
    },
    required: ['value'],
    additionalProperties: false,
  },

  // Once a change of configuration, not once a request: what it returns is handed to every phase.
  compile: ({ header, value }) => ({ header, value }),

  // Each request, before it goes upstream. What is returned, such as { status: 403, body: { message: 'no' } }, ends it.
  rewrite({ header, value }, exchange) {
    exchange.headers.set(header, value);
  },
});
`;
}

export function testSource(name: string): string {
  const header = headerOf(name);
  return `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlugin } from 'gatewright/plugin/testing';
import plugin from './${name}.ts';

test('sets the header before the request goes upstream', async () => {
  await using gateway = await startPlugin(plugin, { value: 'hello' });

  const response = await gateway.fetch('/orders');

  assert.equal(response.status, 200);
  assert.equal(gateway.upstream.last.url, '/orders');
  assert.equal(gateway.upstream.last.headers['${header.toLowerCase()}'], 'hello');
});

test('refuses a configuration without value', async () => {
  await assert.rejects(startPlugin(plugin, {}), /property "value" is required/);
});
`;
}

/** `my-plugin` → `X-My-Plugin` */
function headerOf(name: string): string {
  return `X-${name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase())}`;
}
