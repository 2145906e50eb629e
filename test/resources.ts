/** Resources of a gateway under test, written through its Admin API; one that is refused fails the test, in the words of the refusal. */
import assert from 'node:assert/strict';
import type { Gateway } from './gateway.ts';
import type { TestUpstream } from './upstream.ts';

/** `path`: below /apisix/admin. */
export async function put(gateway: Gateway, path: string, resource: object): Promise<void> {
  const { status, body } = await gateway.admin('PUT', path, resource);
  assert.ok(status === 200 || status === 201, `${path}: ${status} ${JSON.stringify(body)}`);
}

/** The route `id` takes the path `/ID` to `upstream`. */
export function putRoute(
  gateway: Gateway,
  upstream: Pick<TestUpstream, 'node'>,
  id: string,
  plugins: object,
): Promise<void> {
  const nodes = { [upstream.node]: 1 };
  return put(gateway, `/routes/${id}`, { uri: `/${id}`, plugins, upstream: { type: 'roundrobin', nodes } });
}

/** What the Admin API says of a route's plugins that it refuses. */
export async function refusalOf(gateway: Gateway, plugins: object): Promise<string> {
  const { status, body } = await gateway.admin('PUT', '/routes/refused', { uri: '/refused', plugins });
  assert.equal(status, 400, JSON.stringify(body));
  return String(body['error_msg']);
}

/** Ends when every worker uses what the gateway's plugin files hold now. */
export async function reloadPlugins(gateway: Gateway): Promise<void> {
  const { adminUrl, adminKey } = gateway;
  const reloaded = await fetch(`${adminUrl}/plugins/reload`, { method: 'PUT', headers: { 'X-API-KEY': adminKey } });
  assert.equal(await reloaded.text(), 'done');
}
