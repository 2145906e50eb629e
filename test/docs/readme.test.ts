/** README's marked shell lines, executed as they stand but for ports and folders, against a real gateway and upstream. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type CommandResult, runProcess } from '../command.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

const root = new URL('../../', import.meta.url).pathname;
const readme = await readFile(join(root, 'README.md'), 'utf8');

/** The lines of the block that follows `<!-- example: NAME -->`. */
function example(name: string): string[] {
  const block = new RegExp(`<!-- example: ${name} -->\\n\`\`\`sh\\n(.+?)\`\`\``, 's').exec(readme)?.[1];
  assert.ok(block !== undefined, `README has no example ${name}`);
  return block.trimEnd().split('\n');
}

describe('the first authenticated route', () => {
  let directory: string;
  let upstream: TestUpstream;
  let gateway: Gateway;
  const results: CommandResult[] = [];
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    upstream = await startUpstream();
    gateway = await startGateway({ directory, settings: { deployment: { admin: { admin_key: null } } } });
    for (const line of example('quickstart')) results.push(await shell(line, directory));
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
  /** The default ports become this gateway's. */
  const ported = (text: string): string =>
    text
      .replaceAll('127.0.0.1:9180', `127.0.0.1:${gateway.ports.admin}`)
      .replaceAll('127.0.0.1:9080', `127.0.0.1:${gateway.ports.data}`)
      .replaceAll('127.0.0.1:8081', upstream.node);
  const shell = (line: string, cwd: string): Promise<CommandResult> => runProcess('sh', ['-c', ported(line)], { cwd });

  it('is made by two lines', () => {
    assert.equal(results.length, 5);
    for (const { code, stdout } of results.slice(0, 2)) {
      assert.equal(code, 0);
      assert.match(stdout, /^\{"key":"\/apisix\/(consumers\/jack|routes\/1)","value":/);
    }
  });

  it('refuses a request without a key, and one with a wrong key, with 401', () => {
    assert.match(results[2]?.stdout ?? '', /^HTTP\/1\.1 401 Unauthorized\r\n/);
    assert.match(results[2]?.stdout ?? '', /\{"message":"Missing API key found in request"\}/);
    assert.match(results[3]?.stdout ?? '', /^HTTP\/1\.1 401 Unauthorized\r\n/);
    assert.match(results[3]?.stdout ?? '', /\{"message":"Invalid API key in request"\}/);
  });

  it("lets the right key through: the answer is the upstream's, which saw who it was", () => {
    assert.match(results[4]?.stdout ?? '', /^HTTP\/1\.1 200 OK\r\n[^]*GET \/anything\/hello\n$/);
    assert.equal(upstream.requests.length, 1);
    assert.equal(upstream.requests[0]?.headers['x-consumer-username'], 'jack');
  });

  it('never lets the identity that a client claims arrive', async () => {
    const [line = ''] = example('quickstart').slice(-1);
    await shell(`${line} -H 'X-Consumer-Username: root'`, directory);
    assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'jack');
  });

  it('explain shows the route, the verdict with its reason code, and no secret; nothing is sent upstream', async () => {
    const before_ = upstream.requests.length;
    const [line = '', ...more] = example('explain');
    assert.deepEqual(more, []);
    const { code, stdout, stderr } = await shell(`${line} --config ${join(directory, 'config.yaml')}`, root);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^route {5}1, uri \/anything\/\*$/m);
    assert.match(stdout, /refused .*key-auth .*key-auth\.unknown_key/);
    assert.match(stdout, /^outcome {3}401 key-auth\.unknown_key$/m);
    assert.doesNotMatch(stdout, /wrong/);
    assert.equal(upstream.requests.length, before_);
  });

  it('the log has the same reason code', () => {
    assert.match(gateway.output(), /request refused reason=key-auth\.unknown_key status=401 route=1 /);
  });

  it('has a key in data/admin.key that the start printed', async () => {
    const key = (await readFile(join(directory, 'data/admin.key'), 'utf8')).trim();
    assert.ok(gateway.output().includes(key));
  });
});

describe('the standalone example', () => {
  it('serves as its comments say', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
    await using upstream = await startUpstream();
    try {
      await cp(join(root, 'examples/standalone'), directory, { recursive: true });
      const [line = ''] = example('standalone');
      assert.equal(line, 'npm start -- --config examples/standalone/config.yaml');
      const resources = await readFile(join(directory, 'apisix.yaml'), 'utf8');
      await writeFile(join(directory, 'apisix.yaml'), resources.replaceAll('127.0.0.1:8081', upstream.node));
      await using gateway = await startGateway({ directory, baseFile: join(directory, 'config.yaml') });
      const get = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
        const response = await fetch(`${gateway.url}${path}`, { headers });
        await response.text();
        return response.status;
      };
      assert.equal(await get('/open/x'), 200);
      assert.equal(await get('/anything/x'), 401);
      assert.equal(await get('/anything/x', { apikey: 'jack-key' }), 200);
      assert.equal(upstream.requests.at(-1)?.headers['x-consumer-username'], 'jack');
      assert.equal(upstream.requests.at(-1)?.headers['apikey'], undefined);
      assert.match(gateway.output(), /2 routes\n/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
