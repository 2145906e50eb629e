/** How long a write through the Admin API takes at 10,000 routes: durable, and served, when it is answered. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { putResource } from './admin-client.ts';
import { median, percentile } from './figures.ts';
import { routesAndConsumers, startGateway } from './gateway.ts';
import { startUpstream } from './nginx.ts';
import type { Scenario } from './scenario.ts';

export const adminWrites: Scenario = {
  name: 'admin',
  what: 'latency of Admin API writes at 10,000 routes',
  async run(options) {
    const routes = options.quick ? 1_000 : 10_000;
    const writes = options.quick ? 50 : 500;
    const upstream = await startUpstream();
    const gateway = await startGateway({
      resources: routesAndConsumers(routes, 'none', upstream.port),
      store: 'sqlite',
    });
    const tookMs: number[] = [];
    try {
      for (let write = 0; write < writes; write++) {
        if (write % 50 === 0) options.progress(`write ${write} of ${writes}`);
        const uri = `/written-${write}`;
        const from = performance.now();
        await putResource(gateway.adminPort, `routes/new-${write}`, {
          uri,
          upstream: { type: 'roundrobin', nodes: { [`127.0.0.1:${upstream.port}`]: 1 } },
        });
        tookMs.push(performance.now() - from);
        const status = await statusOf(gateway.port, uri);
        if (status !== 200) throw new Error(`a route was not served after its write was answered: ${status}`);
      }
    } finally {
      await gateway.stop();
      await upstream.stop();
    }
    const p99 = percentile(tookMs, 0.99);
    return {
      title: `A write at ${routes.toLocaleString('en')} routes`,
      head: ['write', 'p50 ms', 'p99 ms', 'max ms'],
      rows: [['new route', median(tookMs).toFixed(1), p99.toFixed(1), Math.max(...tookMs).toFixed(1)]],
      targets: [{ what: `a write at ${routes.toLocaleString('en')} routes: p99`, value: p99, limit: 50, unit: 'ms' }],
      data: { routes, tookMs },
    };
  },
};

async function statusOf(port: number, target: string): Promise<number> {
  const [response] = (await once(get({ host: '127.0.0.1', port, path: target }), 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response.statusCode ?? 0;
}
