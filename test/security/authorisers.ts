/**
 * Everyone whom the gateway may ask about a request, in one gateway: what each was told, in one form, so that one test holds for all.
 * `/KIND/a` asks the authoriser KIND, `/validated/KIND/a` after request-validation has read the body within a larger bound; the
 * request passes where its header `x-pass` is there.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Gateway, startGateway } from '../gateway.ts';
import { type FakeRunner, startFakeRunner } from '../runners/fake-runner.ts';
import { question, rewrite, stop } from '../runners/runner-messages.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

export const kinds = ['custom-auth', 'forward-auth', 'opa', 'runner', 'plugin-file', 'serverless'] as const;
export type Kind = (typeof kinds)[number];

/** Bytes of a body that any of them may be given. */
export const maxBody = 1_048_576;

export interface Told {
  readonly path: string;
  readonly address: string;
  /** Lower-case names, each field by itself. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export interface Authorisers extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly upstream: TestUpstream;
  /** Of all kinds, in order. */
  readonly told: Told[];
  /** What a passing answer sets upstream: name and value. */
  header: readonly [string, string];
}

/** What code of the operator's own may do: reads the request, asks `url` by `client`, sets a header. In the body of a phase. */
const asks = `
  const told = {
    path: exchange.path,
    address: exchange.remoteAddress,
    headers: [...exchange.headers.entries()],
    body: Buffer.from(await exchange.body(${String(maxBody)})).toString(),
  };
  const reflected = exchange.arg('reflected') ?? '';
  const response = await client.request({
    method: 'POST', url, body: JSON.stringify(told), headers: { 'X-Reflected': reflected },
  });
  if (response.status !== 200) return { status: 403 };
  exchange.headers.set(...response.json());
`;

const pluginFile = `
import { definePlugin } from 'gatewright/plugin';
export default definePlugin({
  name: 'asks',
  priority: 2000,
  schema: { type: 'object', properties: { url: { type: 'string' } }, required: ['url'] },
  compile: ({ url }, deps) => ({ url, client: deps.http.client({}) }),
  dispose: ({ client }) => client.close(),
  async access({ url, client }, exchange) {${asks}},
});
`;

/** The same in a configuration. */
const serverless = (url: string): string => `async (conf, exchange) => {
  const url = '${url}';
  const client = deps.http.client({});
  try {${asks}} finally { client.close(); }
}`;

export async function startAuthorisers(): Promise<Authorisers> {
  const told: Told[] = [];
  const all: { header: readonly [string, string] } = { header: ['X-User', 'jack'] };
  const passes = (headers: Told['headers']): boolean => headers.some(([name]) => name === 'x-pass');
  const upstream = await startUpstream();
  const server = createServer((incoming, response) => {
    void bodyOf(incoming).then((body) => {
      answer(incoming, body, response, told, all.header);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const url = (path: string): string => `http://127.0.0.1:${String(port)}/${path}`;
  const runner: FakeRunner = await startFakeRunner({
    request: async (call, _conf, ask) => {
      const body = (await ask(question({ info: 'request-body' }))) ?? Buffer.alloc(0);
      const headers = call.headers.map(([name, value]) => [name, value ?? ''] as const);
      told.push({ path: call.path, address: [...call.sourceAddress].join('.'), headers, body: body.toString() });
      return passes(headers) ? rewrite(call.id, { headers: [all.header] }) : stop(call.id, { status: 403 });
    },
  });
  const gateway = await startGateway({
    settings: {
      plugin_dirs: ['plugins'],
      gatewright: { code_in_config: true },
      nginx_config: { http: { real_ip_from: ['10.0.0.1'] } },
      'ext-plugin': { path_for_test: runner.socket, body_size: '1m' },
    },
    files: { 'plugins/asks.ts': pluginFile },
  });
  const plugins: Record<Kind, object> = {
    'custom-auth': {
      'custom-auth': {
        cache_time: 0,
        endpoint_timeout: 5,
        is_send_body: true,
        max_body_size: maxBody,
        upstream_headers: ['X-User'],
        function: { type: 'http', uri: url('custom-auth') },
      },
    },
    'forward-auth': {
      'forward-auth': {
        uri: url('forward-auth'),
        request_method: 'POST',
        request_headers: ['X-Pass', 'X-Twice', 'X-Forwarded-For', 'X-Real-IP', 'Forwarded', 'X-Consumer-Username'],
        extra_headers: { 'X-Reflected': '$arg_reflected' },
        upstream_headers: ['X-User'],
        max_body_size: maxBody,
      },
    },
    opa: {
      opa: {
        host: url(''),
        policy: 'policy',
        with_body: true,
        max_body_size: maxBody,
        send_headers_upstream: ['X-User'],
      },
    },
    runner: { 'ext-plugin-pre-req': { conf: [{ name: 'asks', value: '{}' }] } },
    'plugin-file': { asks: { url: url('plugin') } },
    serverless: { 'serverless-pre-function': { phase: 'access', functions: [serverless(url('plugin'))] } },
  };
  const validated = { 'request-validation': { body_schema: {}, max_req_body_size: 4 * maxBody } };
  for (const kind of kinds) {
    for (const [uri, more] of [
      [kind, {}],
      [`validated/${kind}`, validated],
    ] as const) {
      const { status, body } = await gateway.admin('PUT', `/routes/${uri.replace('/', '-')}`, {
        uri: `/${uri}/*`,
        plugins: { ...plugins[kind], ...more },
        upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
      });
      if (status >= 300) throw new Error(JSON.stringify(body));
    }
  }
  return Object.assign(all, {
    gateway,
    upstream,
    told,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      await runner[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

/** Each protocol's request → what was told; `x-pass` → the protocol's yes, with the header. */
function answer(
  incoming: IncomingMessage,
  body: string,
  response: ServerResponse,
  told: Told[],
  [name, value]: readonly [string, string],
): void {
  const add = (one: Told): boolean => {
    told.push(one);
    return one.headers.some(([field]) => field === 'x-pass');
  };
  switch (incoming.url) {
    case '/custom-auth': {
      const event = JSON.parse(body) as {
        path: string;
        headers: Record<string, string>;
        multiValueHeaders: Record<string, string[]>;
        body?: string;
        requestContext: { sourceIp: string };
      };
      const headers = Object.entries({ ...event.headers, ...event.multiValueHeaders }).flatMap(([field, values]) =>
        [values].flat().map((one) => [field, one] as const),
      );
      const { path, requestContext } = event;
      const passes = add({ path, address: requestContext.sourceIp, headers, body: event.body ?? '' });
      response.end(JSON.stringify({ 'api-auth': passes, headers: { [name]: value } }));
      break;
    }
    case '/forward-auth': {
      const headers: [string, string][] = [];
      const { rawHeaders } = incoming;
      for (let i = 0; i < rawHeaders.length; i += 2)
        headers.push([(rawHeaders[i] ?? '').toLowerCase(), rawHeaders[i + 1] ?? '']);
      const of = (field: string): string => headers.find(([one]) => one === field)?.[1] ?? '';
      const path = decodeURIComponent(of('x-forwarded-uri').split('?')[0] ?? '');
      // Its own protocol's field; the others are what the client sent.
      const sent = headers.filter(([field]) => field !== 'x-forwarded-for');
      const passes = add({ path, address: of('x-forwarded-for'), headers: sent, body });
      // Exact bytes: Node's own server would not send every value.
      incoming.socket.end(
        `HTTP/1.1 ${passes ? '200 OK' : '403 No'}\r\n${name}: ${value}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      break;
    }
    case '//v1/data/policy':
    case '/v1/data/policy': {
      const { input } = JSON.parse(body) as {
        input: {
          request: { path: string; headers: Record<string, string | string[]>; body?: string };
          var: { remote_addr: string };
        };
      };
      const headers = Object.entries(input.request.headers).flatMap(([field, values]) =>
        [values].flat().map((one) => [field, one] as const),
      );
      const { path } = input.request;
      const allow = add({ path, address: input.var.remote_addr, headers, body: input.request.body ?? '' });
      response.end(JSON.stringify({ result: { allow, headers: { [name]: value } } }));
      break;
    }
    default: {
      const one = JSON.parse(body) as Told;
      const headers = one.headers.map(([field, text]) => [field.toLowerCase(), text] as const);
      const passes = add({ ...one, headers });
      response.writeHead(passes ? 200 : 403).end(JSON.stringify([name, value]));
    }
  }
}
