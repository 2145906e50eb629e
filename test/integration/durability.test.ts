/** kill -9 of the whole gateway while Admin API writes are acknowledged: what was acknowledged is there, and served. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { createRandom } from '../../src/random.fixture.ts';
import { freePorts, type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { startUpstream } from '../upstream.ts';

const rounds = 6;
const clients = 4;

/** Acknowledged state by route id: the path it matches, or undefined where it was deleted. Absent: never acknowledged. */
type Acknowledged = Map<string, string | undefined>;

it(`${rounds} times killed with SIGKILL while ${clients} clients write, it serves every acknowledged write afterwards`, async (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`SEED=${seed}`);
  const random = createRandom(seed);
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  const ports = await freePorts();
  const acknowledged: Acknowledged = new Map();
  const uncertain = new Set<string>();
  let writes = 0;
  try {
    await using upstream = await startUpstream();
    for (let round = 0; round < rounds; round++) {
      const gateway = await startGateway({ directory, ports });
      await assertServed(gateway, acknowledged, uncertain);
      const before = writes;
      const work = Array.from({ length: clients }, async (_, client) => {
        for (let n = 0; ; n++) {
          const id = `r${client}-${random.int(20)}`;
          const gone = acknowledged.get(id) !== undefined && random.unit() < 0.3;
          const uri = `/${id}/${round}-${n}`;
          try {
            const { status } = gone
              ? await gateway.admin('DELETE', `/routes/${id}`)
              : await gateway.admin('PUT', `/routes/${id}`, {
                  uri,
                  upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
                });
            assert.ok(status < 300, String(status));
            acknowledged.set(id, gone ? undefined : uri);
            uncertain.delete(id);
            writes++;
          } catch (error) {
            if (error instanceof assert.AssertionError) throw error;
            // The answer never came: either outcome is right.
            uncertain.add(id);
            return;
          }
        }
      });
      const target = before + 5 + random.int(60);
      while (writes < target) await new Promise(setImmediate);
      await gateway.stop('SIGKILL');
      await Promise.all(work);
    }
    const gateway = await startGateway({ directory, ports });
    try {
      await assertServed(gateway, acknowledged, uncertain);
    } finally {
      await gateway.stop();
    }
    t.diagnostic(`${writes} acknowledged writes, ${acknowledged.size} routes`);
  } finally {
    await rm(directory, { recursive: true });
  }
});

async function assertServed(gateway: Gateway, acknowledged: Acknowledged, uncertain: Set<string>): Promise<void> {
  for (const [id, uri] of acknowledged) {
    const { status, body } = await gateway.admin('GET', `/routes/${id}`);
    if (uncertain.has(id)) {
      // What the lost answer was about is settled from here on.
      acknowledged.set(id, status === 200 ? (body['value'] as { uri: string }).uri : undefined);
      uncertain.delete(id);
      continue;
    }
    assert.equal(status, uri === undefined ? 404 : 200, id);
    if (uri === undefined) continue;
    assert.equal((body['value'] as { uri: string }).uri, uri);
    assert.equal((await request(gateway, uri)).status, 200, uri);
  }
}
