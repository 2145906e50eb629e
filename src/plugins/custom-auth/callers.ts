/** The kinds of functions: how each is asked. The event goes out as JSON, the answer comes back as JSON text. */
import { AuthorizerError } from '../../plugin/authorizer/verdict.ts';
import { ConfigError } from '../../errors/gateway-error.ts';
import { pickHttpClientOptions } from '../../plugin/http-client/index.ts';
import type { PluginDeps } from '../../plugin/plugin.ts';
import type { Config, HttpFunction } from './schema.ts';

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
  if (config.function.type === 'http') return httpCaller(config.function, timeoutMs, deps);
  const { func_namespace: namespace = '', func_name: name = '', func_qualifier: qualifier = '' } = config;
  const handle = deps.functions.acquire({ namespace, name, qualifier });
  return {
    revision: () => handle.revision(),
    call: (event) => handle.call(event, timeoutMs),
    close: () => {
      handle.release();
    },
  };
}

function httpCaller(config: HttpFunction, timeoutMs: number, { http }: Pick<PluginDeps, 'http'>): Caller {
  const { uri, headers = {} } = config;
  if (!URL.canParse(uri)) throw new ConfigError('function.uri: is no URL');
  const client = http.client(pickHttpClientOptions({ ...config }, ['type', 'uri', 'headers']));
  const sent = { 'Content-Type': 'application/json', Accept: 'application/json', ...headers };
  return {
    revision: () => '',
    async call(event) {
      const response = await client.request({
        method: 'POST',
        url: uri,
        headers: sent,
        body: event,
        timeoutMs,
        maxResponseBytes: maxAnswerBytes,
      });
      const { status } = response;
      if (status === 401 || status === 403) return bareRefusal;
      if (status < 200 || status > 299) throw new AuthorizerError('unavailable', `it answered with status ${status}`);
      return response.text();
    },
    close: () => {
      client.close();
    },
  };
}
