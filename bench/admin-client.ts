/** One kept connection to the Admin API. */
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { ADMIN_KEY } from './gateway.ts';

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Puts one resource (`routes/1`); fails unless it was stored. */
export async function putResource(adminPort: number, key: string, resource: unknown): Promise<void> {
  const put = request({
    host: '127.0.0.1',
    port: adminPort,
    path: `/apisix/admin/${key}`,
    method: 'PUT',
    agent,
    headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' },
  });
  put.end(JSON.stringify(resource));
  const [response] = (await once(put, 'response')) as [IncomingMessage];
  const answer = await text(response);
  const status = response.statusCode ?? 0;
  if (status !== 200 && status !== 201) throw new Error(`PUT ${key}: ${status} ${answer}`);
}
