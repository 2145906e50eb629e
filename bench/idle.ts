/** Memory of idle keep-alive connections: each sent one request, got its answer, and stays. nginx beside. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gateways } from './gateway.ts';
import { load } from './load.ts';
import { nginx, startUpstream } from './nginx.ts';
import { residentBytes } from './process-tree.ts';
import type { Scenario } from './scenario.ts';
import { REQUEST_PATH, type System } from './system.ts';

/** Opened at a time; more would overflow the backlog. */
const BATCH = 100;

/** A collector that has nothing to do gives memory back late. */
const SETTLE_MS = 3_000;

export const idle: Scenario = {
  name: 'idle',
  what: 'memory of 10,000 idle keep-alive connections',
  async run(options) {
    const connections = options.quick ? 1_000 : 10_000;
    const upstream = await startUpstream();
    const systems = [nginx, ...gateways.slice(0, 1)];
    const results: { system: string; bytesEach: number; before: number; after: number }[] = [];
    try {
      for (const system of systems) {
        options.progress(`${system.name}: ${connections} connections`);
        results.push({ system: system.name, ...(await measure(system, upstream.port, connections)) });
      }
    } finally {
      await upstream.stop();
    }
    const ours = results.at(-1)?.bytesEach ?? Number.NaN;
    return {
      title: `${connections.toLocaleString('en')} idle keep-alive connections`,
      head: ['system', 'RSS MB before', 'RSS MB with', 'KB each'],
      rows: results.map((result) => [
        result.system,
        (result.before / 1e6).toFixed(1),
        (result.after / 1e6).toFixed(1),
        (result.bytesEach / 1024).toFixed(1),
      ]),
      targets: [{ what: 'an idle keep-alive connection', value: ours / 1024, limit: 10, unit: 'KB' }],
      data: { connections, results },
    };
  },
};

async function measure(system: System, upstreamPort: number, connections: number) {
  const running = await system.start(upstreamPort);
  const sockets: Socket[] = [];
  try {
    // What a first load grows (code, pools, the young generation) is not the connections'.
    await load(running.port, 3);
    await delay(SETTLE_MS);
    const before = residentBytes(running.pid);
    while (sockets.length < connections) {
      const batch = Array.from({ length: Math.min(BATCH, connections - sockets.length) }, () => ask(running.port));
      sockets.push(...(await Promise.all(batch)));
    }
    await delay(SETTLE_MS);
    const after = residentBytes(running.pid);
    const closed = sockets.filter((socket) => socket.destroyed || socket.readyState !== 'open').length;
    if (closed > 0) throw new Error(`${system.name} closed ${closed} of ${connections} connections`);
    return { before, after, bytesEach: (after - before) / connections };
  } finally {
    for (const socket of sockets) socket.destroy();
    await running.stop();
  }
}

/** Opens a connection, gets one answer of 200, and keeps it. */
async function ask(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`GET ${REQUEST_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (!answer.toString('latin1').startsWith('HTTP/1.1 200 ')) throw new Error(`answered ${answer.toString('latin1')}`);
  return socket;
}
