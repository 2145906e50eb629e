/** `GET /status` answers while the process lives; `GET /status/ready` answers 200 only when every worker serves the current configuration. */
import type { Server } from 'node:http';
import { createJsonServer } from './json-server.ts';

/** `notReady`: why not, or undefined when ready. */
export function createStatusServer(notReady: () => string | undefined): Server {
  return createJsonServer((method, segments) => {
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    const path = segments.join('/');
    if (path === 'status') return { status: 200, body: { status: 'ok' } };
    if (path !== 'status/ready') return undefined;
    const reason = notReady();
    return reason === undefined
      ? { status: 200, body: { status: 'ok' } }
      : { status: 503, body: { status: 'error', error: reason } };
  });
}
