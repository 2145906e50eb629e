import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseNodes } from './nodes.ts';

describe('parseNodes', () => {
  it('reads the object form: name, address, IPv6 in brackets, with and without port', () => {
    const nodes = parseNodes({ nodes: { 'a.test:8080': 1, '10.0.0.1': 2, '[::1]:81': 3, '[::2]': 4, '::3': 5, b: 6 } });
    assert.deepEqual(
      nodes.map(({ host, port, label, weight, isAddress }) => [host, port, label, weight, isAddress]),
      [
        ['a.test', 8080, 'a.test:8080', 1, false],
        ['10.0.0.1', 80, '10.0.0.1:80', 2, true],
        ['::1', 81, '[::1]:81', 3, true],
        ['::2', 80, '[::2]:80', 4, true],
        ['::3', 80, '[::3]:80', 5, true],
        ['b', 80, 'b:80', 6, false],
      ],
    );
  });

  it('reads the list form with priorities', () => {
    const nodes = parseNodes({
      nodes: [
        { host: '[::1]', port: 1, weight: 0, priority: -1 },
        { host: 'x.test', weight: 3 },
      ],
    });
    assert.deepEqual(nodes, [
      { host: '::1', port: 1, label: '[::1]:1', weight: 0, priority: -1, isAddress: true },
      { host: 'x.test', port: 80, label: 'x.test:80', weight: 3, priority: 0, isAddress: false },
    ]);
  });

  it('takes 443 where the scheme is https or grpcs and no port is given', () => {
    for (const scheme of ['https', 'grpcs'] as const) {
      assert.equal(parseNodes({ scheme, nodes: { '10.0.0.1': 1 } })[0]?.port, 443);
    }
  });

  it('is empty where there are no nodes', () => {
    assert.deepEqual(parseNodes({}), []);
  });
});
