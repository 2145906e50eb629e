import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderReport } from './render.ts';
import type { ExplainReport } from './report.ts';

const refused: ExplainReport = {
  path: '/nexus/',
  route: { id: '1', name: 'nexus', uri: '/nexus/*' },
  misses: [{ id: '2', reason: 'host', detail: 'host ops.example.com is not in other.example.com' }],
  steps: [
    {
      plugin: 'basic-auth',
      phase: 'rewrite',
      from: 'route',
      priority: 2520,
      verdict: 'passed',
      reason: undefined,
      detail: undefined,
    },
    {
      plugin: 'consumer-restriction',
      phase: 'access',
      from: 'consumer',
      priority: 2400,
      verdict: 'refused',
      reason: 'consumer-restriction.missing',
      detail: 'the request has no consumer_name',
    },
  ],
  consumer: { username: 'jack', credentialId: 'c1', groupId: undefined },
  upstream: undefined,
  outcome: { status: 403, reason: 'consumer-restriction.missing', detail: undefined },
};

describe('renderReport', () => {
  it('aligns headings, steps and what belongs to them', () => {
    assert.equal(
      renderReport(refused),
      [
        'path      /nexus/',
        'route     1 "nexus", uri /nexus/*',
        '          not 2: host ops.example.com is not in other.example.com',
        'plugins   passed   rewrite  2520  basic-auth            route',
        '          refused  access   2400  consumer-restriction  consumer  consumer-restriction.missing',
        '              the request has no consumer_name',
        'consumer  jack (credential c1)',
        'outcome   403 consumer-restriction.missing',
        '',
      ].join('\n'),
    );
  });

  it('shows where a request that passes goes', () => {
    const upstream = {
      key: 'upstreams/1',
      node: '127.0.0.1:1980',
      scheme: 'http',
      method: 'GET',
      target: '/a?b=***',
      host: 'a.example',
    };
    const text = renderReport({
      ...refused,
      misses: [],
      steps: [],
      upstream,
      outcome: { status: undefined, reason: undefined, detail: undefined },
    });
    assert.match(
      text,
      /^upstream {2}GET \/a\?b=\*{3}\n {10}to http:\/\/127\.0\.0\.1:1980, Host a\.example \(upstreams\/1\)$/m,
    );
    assert.match(text, /^outcome {3}goes upstream$/m);
  });

  it('says only what is wrong with a request that is malformed', () => {
    const text = renderReport({
      ...refused,
      path: undefined,
      outcome: { status: 400, reason: 'REQUEST_PATH_REFUSED', detail: '`..` above the root' },
    });
    assert.equal(text, 'outcome   400 REQUEST_PATH_REFUSED\n          `..` above the root\n');
  });

  it('keeps within 100 columns', () => {
    const long = { id: '3', reason: 'host', detail: `${'many words '.repeat(30)}${'x'.repeat(250)}` };
    const text = renderReport({ ...refused, path: `/${'a'.repeat(300)}`, misses: [long] });
    for (const line of text.split('\n')) assert.ok(line.length <= 100, line);
    assert.equal(text.replaceAll(/[^x]/g, '').length >= 250, true);
  });

  it('shows control characters of a path as marks', () => {
    assert.match(renderReport({ ...refused, path: '/a\u009b31m\u202eb' }), /^path {6}\/a\ufffd31m\ufffdb$/m);
  });
});
