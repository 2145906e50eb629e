/** The kinds of functions: how each is asked. The event goes out as JSON, the answer comes back as JSON text. */
import { AuthorizerError } from '../../plugin/authorizer/verdict.ts';
import { ConfigError } from '../../errors/gateway-error.ts';
import { pickHttpClientOptions, type HttpRequest, type HttpResponse } from '../../plugin/http-client/index.ts';
import type { PluginDeps } from '../../plugin/plugin.ts';
import { signRequest } from '../../plugin/signing/aws-signature.ts';
import { signTc3 } from '../../plugin/signing/tc3-signature.ts';
import type { Config, FunctionConfig, HttpFunction, LambdaFunction, TencentFunction } from './schema.ts';

export interface Caller {
  /** Part of every key: which code decides, where that can change without the configuration. */
  revision(): string;
  /** Rejects with FunctionError, HttpClientError or AuthorizerError. */
  call(event: string): Promise<string>;
  close(): void;
}

/** An answer says yes or no, and little more. */
const maxAnswerBytes = 1_048_576;
/** What refuses without a word, and is kept by nobody. */
const bareRefusal = '{}';

export function createCaller(config: Config, timeoutMs: number, deps: Pick<PluginDeps, 'functions' | 'http'>): Caller {
  const { function: where } = config;
  switch (where.type) {
    case 'module':
      return moduleCaller(config, timeoutMs, deps);
    case 'http':
      return httpCaller(where, timeoutMs, deps);
    case 'tencent-scf':
      return tencentCaller(where, config, timeoutMs, deps);
    case 'aws-lambda':
      return lambdaCaller(where, config, timeoutMs, deps);
  }
}

function moduleCaller(config: Config, timeoutMs: number, { functions }: Pick<PluginDeps, 'functions'>): Caller {
  const { func_namespace: namespace = '', func_name: name = '', func_qualifier: qualifier = '' } = config;
  const handle = functions.acquire({ namespace, name, qualifier });
  return {
    revision: () => handle.revision(),
    call: (event) => handle.call(event, timeoutMs),
    close: () => {
      handle.release();
    },
  };
}

type MakeRequest = (event: string) => Pick<HttpRequest, 'url' | 'headers' | 'body'>;

/** A function that is asked by POST: what differs is the request, and how an answer is read. */
function remoteCaller(
  where: FunctionConfig,
  timeoutMs: number,
  { http }: Pick<PluginDeps, 'http'>,
  make: MakeRequest,
  read: (response: HttpResponse) => string,
): Caller {
  const client = http.client(pickHttpClientOptions({ ...where }, ownFields));
  return {
    revision: () => '',
    async call(event) {
      const response = await client.request({
        method: 'POST',
        ...make(event),
        timeoutMs,
        maxResponseBytes: maxAnswerBytes,
      });
      return read(response);
    },
    close: () => {
      client.close();
    },
  };
}

const ownFields = [
  ...['type', 'uri', 'headers', 'region', 'endpoint', 'secret_id', 'secret_key', 'token'],
  ...['access_key_id', 'secret_access_key', 'session_token'],
];

function httpCaller(where: HttpFunction, timeoutMs: number, deps: Pick<PluginDeps, 'http'>): Caller {
  const url = parseUrl('function.uri', where.uri).href;
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json', ...where.headers };
  return remoteCaller(
    where,
    timeoutMs,
    deps,
    (body) => ({ url, headers, body }),
    (response) => {
      const { status } = response;
      if (status === 401 || status === 403) return bareRefusal;
      if (status < 200 || status > 299) throw new AuthorizerError('unavailable', `it answered with status ${status}`);
      return response.text();
    },
  );
}

function tencentCaller(
  where: TencentFunction,
  config: Config,
  timeoutMs: number,
  deps: Pick<PluginDeps, 'http'>,
): Caller {
  const url = parseUrl('function.endpoint', where.endpoint ?? 'https://scf.tencentcloudapi.com');
  url.pathname = '/';
  url.search = '';
  const credentials = { secretId: where.secret_id, secretKey: where.secret_key };
  const signed = { 'content-type': 'application/json; charset=utf-8', 'x-tc-action': 'Invoke' };
  const make: MakeRequest = (event) => {
    const body = JSON.stringify({
      FunctionName: config.func_name,
      Namespace: config.func_namespace,
      Qualifier: config.func_qualifier,
      InvocationType: 'RequestResponse',
      ClientContext: event,
    });
    const timestamp = Math.floor(Date.now() / 1000);
    const request = { method: 'POST', host: url.host, query: '', headers: signed, body };
    return {
      url: url.href,
      headers: {
        ...signed,
        'X-TC-Version': '2018-04-16',
        'X-TC-Region': where.region,
        'X-TC-Timestamp': String(timestamp),
        ...(where.token === undefined ? {} : { 'X-TC-Token': where.token }),
        Authorization: signTc3(request, credentials, 'scf', timestamp),
      },
      body,
    };
  };
  return remoteCaller(where, timeoutMs, deps, make, readTencent);
}

/** `{"Response": {"Result": {"RetMsg": what the function returned, "InvokeResult": 0}}}`, or `{"Response": {"Error": {"Code"}}}`. */
function readTencent(response: HttpResponse): string {
  const answer = objectIn(objectIn(response.json())?.['Response']);
  const code = objectIn(answer?.['Error'])?.['Code'];
  if (response.status !== 200 || code !== undefined)
    throw new AuthorizerError(
      'unavailable',
      `the cloud answered ${response.status} ${typeof code === 'string' ? code : ''}`,
    );
  const result = objectIn(answer?.['Result']);
  // What the function says of its failure may repeat the request.
  if (result?.['InvokeResult'] !== 0) throw new AuthorizerError('threw', 'the function failed');
  const returned = result['RetMsg'];
  if (typeof returned !== 'string') throw new AuthorizerError('unusable_answer', 'the cloud’s answer has no RetMsg');
  return returned;
}

function lambdaCaller(
  where: LambdaFunction,
  config: Config,
  timeoutMs: number,
  deps: Pick<PluginDeps, 'http'>,
): Caller {
  const { region, access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = where;
  const url = parseUrl('function.endpoint', where.endpoint ?? `https://lambda.${region}.amazonaws.com`);
  url.pathname = `/2015-03-31/functions/${encodeURIComponent(config.func_name ?? '')}/invocations`;
  url.search = `Qualifier=${encodeURIComponent(config.func_qualifier ?? '')}`;
  const make: MakeRequest = (body) => {
    const { host: _host, ...headers } = signRequest(
      {
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', 'x-amz-invocation-type': 'RequestResponse' },
        body,
      },
      { accessKeyId, secretAccessKey, sessionToken },
      region,
      'lambda',
      new Date(),
    );
    return { url: url.href, headers, body };
  };
  return remoteCaller(where, timeoutMs, deps, make, (response) => {
    if (response.status !== 200) throw new AuthorizerError('unavailable', `the cloud answered ${response.status}`);
    if (response.headers.get('x-amz-function-error') !== undefined)
      throw new AuthorizerError('threw', 'the function failed');
    return response.text();
  });
}

function parseUrl(name: string, text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw new ConfigError(`${name}: is no URL`);
  return url;
}

function objectIn(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}
