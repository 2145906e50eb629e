/** The user's own TypeScript plugins in a real gateway: loaded as they are, like built-in ones, swapped when they are saved. */
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../gateway.ts';
import { request } from '../request.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

interface FileStatus {
  readonly file: string;
  readonly name?: string;
  readonly state: string;
  readonly serving: boolean;
  readonly problem?: {
    readonly message: string;
    readonly position?: { readonly line: number; readonly source: string };
  };
}

/** Sets a header of its configuration's name to `value`. */
const stamp = (value: string): string => `
import { definePlugin, type Exchange } from 'gatewright/plugin';
import { text } from './_text.ts';

interface State { readonly header: string }

export default definePlugin({
  name: 'stamp',
  priority: 500,
  schema: {
    type: 'object',
    properties: { header: { type: 'string', minLength: 1, default: 'X-Stamp' } },
  },
  compile: (config): State => ({ header: config.header }),
  rewrite(state, exchange: Exchange) {
    exchange.headers.set(state.header, text('${value}'));
  },
});
`;

describe('plugin files', () => {
  let gateway: Gateway;
  let upstream: TestUpstream;
  let directory: string;

  before(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({
      settings: { plugin_dirs: ['plugins'] },
      files: {
        'plugins/stamp.ts': stamp('one'),
        'plugins/_text.ts': 'export const text = (of: string): string => of;\n',
      },
    });
    directory = join(gateway.directory, 'plugins');
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const put = async (path: string, body: object): Promise<void> => {
    const { status, body: answer } = await gateway.admin('PUT', path, body);
    assert.ok(status < 300, JSON.stringify(answer));
  };
  const route = (id: string, plugins: object): Promise<void> =>
    put(`/routes/${id}`, { uri: `/${id}`, plugins, upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } } });
  const stamped = async (path: string): Promise<string | undefined> => {
    await request(gateway, path);
    return upstream.requests.at(-1)?.headers['x-stamp'] as string | undefined;
  };
  const status = async (): Promise<FileStatus[]> =>
    (await (await fetch(`http://127.0.0.1:${gateway.ports.control}/v1/plugins/files`)).json()) as FileStatus[];

  it('a .ts file sets a header upstream', async () => {
    await route('stamped', { stamp: {} });
    assert.equal(await stamped('/stamped'), 'one');
  });
});
