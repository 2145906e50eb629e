/** custom-auth over real sockets: the configuration of the project's third mission, word for word, and functions of each kind. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request, type TextResponse } from '../request.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

/** As it stands in the mission. */
const missionConfig = {
  cache_time: 10,
  endpoint_timeout: 15,
  func_name: 'test_name',
  func_namespace: 'test_namespace',
  func_qualifier: '$LATEST',
  is_send_body: true,
  header_auth_parameters: ['Header1'],
  query_auth_parameters: ['Query1'],
  user_id: 1253970226,
  version: '2021-12-26 17:17:49',
};

describe('custom-auth with a function of the function directory', () => {
  let directory: string;
  let gateway: Gateway;
  let upstream: TestUpstream;
  const write = async (file: string, source: string): Promise<void> => {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), source);
  };
  const get = (path: string, headers: Record<string, string | string[]> = {}): Promise<TextResponse> =>
    request(gateway, path, headers);
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-functions-'));
    upstream = await startUpstream();
    // Every call leaves a line, whichever worker makes it.
    await write(
      'test_namespace/test_name.ts',
      `import { appendFileSync } from 'node:fs';
       export const main_handler = (event: { headers: Record<string, string>; queryString: Record<string, string>; body?: string }) => {
         appendFileSync(${JSON.stringify(join(directory, 'calls'))}, JSON.stringify(event) + '\\n');
         if (event.headers['header1'] === 'nothing') return {};
         if (event.headers['header1'] === 'null') return { 'api-auth': null };
         return { 'api-auth': event.headers['header1'] === 'good' };
       };`,
    );
    gateway = await startGateway({ settings: { gatewright: { functions: { directory } } } });
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });
  const calls = async (): Promise<Record<string, never>[]> =>
    (await readFile(join(directory, 'calls'), 'utf8').catch(() => ''))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, never>);
  const route = async (id: string, config: object): Promise<void> => {
    const { status, body } = await gateway.admin('PUT', `/routes/${id}`, {
      uri: `/${id}/*`,
      plugins: { 'custom-auth': config },
      upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
    });
    assert.ok(status < 300, JSON.stringify(body));
  };

  it("serves the mission's configuration: true passes, all else is refused", async () => {
    await route('mission', missionConfig);
    assert.equal((await get('/mission/a?Query1=1', { Header1: 'good' })).status, 200);
    for (const value of ['bad', 'null', 'nothing']) {
      const refused = await get('/mission/a?Query1=1', { Header1: value });
      assert.equal(refused.status, 401, value);
      assert.equal(refused.body, '{"message":"Verification failed"}\n');
    }
  });

  it('asks once for equal verification parameters while the verdict is kept, in all workers', async () => {
    await route('kept', missionConfig);
    const from = (await calls()).length;
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => get('/kept/a?Query1=kept', { Header1: 'good' })),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal((await calls()).length - from, 1);
    await get('/kept/a?Query1=other', { Header1: 'good' });
    assert.equal((await calls()).length - from, 2);
  });
});
