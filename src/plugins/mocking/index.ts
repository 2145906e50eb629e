/**
 * mocking: answers requests with an example, or with made-up data that fits a JSON Schema, and sends nothing upstream. Runs in
 * `access`: after authentication, before restriction and limits.
 * APISIX: data from a schema is always JSON; with another content type, `response_example` is required.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { headerLiteral } from '../../plugin/header-operations.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { compileTextTemplate } from '../../plugin/substitution.ts';
import { wait } from '../../plugin/wait.ts';
import type { JsonSchema } from '../../resources/resource.ts';
import { compileSample } from './sample.ts';

interface Config {
  delay: number;
  response_status: number;
  content_type: string;
  response_example?: string;
  response_schema?: JsonSchema;
  with_mock_header: boolean;
  response_headers?: Record<string, string | number>;
}

interface State {
  readonly delayMs: number;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: (exchange: Exchange) => string;
}

export const mocking = definePlugin<Config, State>({
  name: 'mocking',
  priority: 10_900,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      delay: { type: 'integer', minimum: 0, default: 0, description: 'Seconds before the answer.' },
      response_status: {
        type: 'integer',
        minimum: 200,
        maximum: 599,
        default: 200,
        description: 'Status of the answer.',
      },
      content_type: {
        type: 'string',
        default: 'application/json;charset=utf8',
        description: 'Content-Type of the answer; empty: the default.',
      },
      response_example: { type: 'string', description: 'Body of the answer, with variables (`$remote_addr`).' },
      response_schema: {
        type: 'object',
        description:
          'JSON Schema that a made-up body fits, where there is no example; `example` in it is taken as it is.',
      },
      with_mock_header: { type: 'boolean', default: true, description: 'Say so in the header `x-mock-by`.' },
      response_headers: {
        type: 'object',
        minProperties: 1,
        additionalProperties: { anyOf: [{ type: 'string' }, { type: 'number' }] },
        description: 'More headers of the answer.',
      },
    },
    anyOf: [{ required: ['response_example'] }, { required: ['response_schema'] }],
  },

  compile(config) {
    const type = config.content_type === '' ? 'application/json;charset=utf8' : config.content_type;
    return {
      delayMs: config.delay * 1000,
      status: config.response_status,
      headers: {
        ...(config.with_mock_header ? { 'x-mock-by': 'Gatewright' } : {}),
        ...Object.fromEntries(
          Object.entries(config.response_headers ?? {}).map(([name, value]) => [
            name,
            headerLiteral('response_headers', name, value),
          ]),
        ),
        'Content-Type': headerLiteral('content_type', 'Content-Type', type),
      },
      body: compileBody(config, type),
    };
  },

  access(state, exchange) {
    const { status, headers, body, delayMs } = state;
    const reply = (): Reply => ({ status, headers, body: body(exchange), reason: 'mocking.answered' });
    return delayMs === 0 || exchange.dryRun ? reply() : wait(delayMs).then(reply);
  },
});

function compileBody(
  { response_example: example, response_schema: schema }: Config,
  type: string,
): (exchange: Exchange) => string {
  if (example !== undefined) return compileTextTemplate(example);
  if (!/[/+]json\b/i.test(type)) throw new ConfigError(`response_schema makes JSON, and content_type is ${type}`);
  const sample = compileSample(schema ?? {}, 'response_schema');
  return () => JSON.stringify(sample());
}
