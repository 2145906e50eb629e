/** docs/plugins-in-typescript.md, as it is printed: the settings, the plugin and the route. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parse } from 'yaml';
import { startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';
import { startUpstream } from '../upstream.ts';

test('the example of the page refuses unknown teams and lets known ones pass', async () => {
  const page = await readFile(new URL('../../docs/plugins-in-typescript.md', import.meta.url), 'utf8');
  const block = (language: string): string =>
    new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? assert.fail(`no ${language} block`);
  const [, file = ''] = /\/\/ conf\/(\S+)/.exec(block('ts')) ?? [];
  await using upstream = await startUpstream();
  await using gateway = await startGateway({
    settings: parse(block('yaml')) as Record<string, unknown>,
    files: { [file]: block('ts') },
  });
  const [, body = ''] = /-d '([\s\S]*?)'\n/.exec(block('shell')) ?? [];
  const route = JSON.parse(body) as { plugins: object; upstream: { nodes: object } };
  route.upstream.nodes = { [upstream.node]: 1 };
  assert.equal((await gateway.admin('PUT', '/routes/1', route)).status, 201);

  const refused = await request(gateway, '/', { 'X-Team': 'green' });
  assert.deepEqual([refused.status, refused.headers['x-checked-by']], [403, 'X-Team']);
  assert.deepEqual(JSON.parse(refused.body), { message: 'unknown team' });
  await until(() => gateway.output().includes('request refused reason=team-header.unknown_team'));
  assert.equal((await request(gateway, '/', { 'X-Team': 'blue' })).status, 200);

  const wrong = await gateway.admin('PUT', '/routes/1', { ...route, plugins: { 'team-header': {} } });
  assert.deepEqual(wrong.status, 400);
  assert.match(String(wrong.body['error_msg']), /plugin team-header err: property "teams" is required/);

  const explained = await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/explain`, {
    method: 'POST',
    body: JSON.stringify({ url: 'http://a.example/', headers: [['X-Team', 'green']] }),
  });
  assert.match(await explained.text(), /team-header\.unknown_team/);
});
