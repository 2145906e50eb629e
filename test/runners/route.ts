/** Routes whose requests a runner judges. */
import assert from 'node:assert/strict';
import type { Gateway } from '../gateway.ts';

/** Writes the route `id` to `node`; fails where it is refused. */
export async function putRoute(
  gateway: Gateway,
  id: string,
  node: string,
  plugins: Record<string, unknown>,
  uri = `/${id}`,
): Promise<void> {
  const upstream = { type: 'roundrobin', nodes: { [node]: 1 } };
  const { status, body } = await gateway.admin('PUT', `/routes/${id}`, { uri, plugins, upstream });
  assert.ok(status === 200 || status === 201, JSON.stringify(body));
}

/** The configuration of an ext-plugin-* with one plugin in it; `value`: an object as JSON. */
export function conf(name: string, value: object | string = {}): { conf: { name: string; value: string }[] } {
  return { conf: [{ name, value: typeof value === 'string' ? value : JSON.stringify(value) }] };
}
