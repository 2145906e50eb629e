/**
 * fault-injection: delays requests, or answers them itself, to see how callers bear it. Runs in `rewrite`, before all other plugins
 * of the route. A delay comes first; both may hold for the same request.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileExpression } from '../../expression/expression.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { fieldText, headerLiteral } from '../../plugin/header-operations.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { compileTextTemplate, type Template } from '../../plugin/substitution.ts';
import { compileVariable } from '../../plugin/variables.ts';
import { wait } from '../../plugin/wait.ts';
import type { Json } from '../../resources/resource.ts';

interface Selection {
  percentage?: number;
  vars?: Json[][];
}

interface Config {
  abort?: Selection & { http_status: number; body?: string; headers?: Record<string, string | number> };
  delay?: Selection & { duration: number };
}

type Applies = (exchange: Exchange) => boolean;

interface State {
  readonly delay: { readonly applies: Applies; readonly milliseconds: number } | undefined;
  readonly abort: { readonly applies: Applies; readonly reply: (exchange: Exchange) => Reply } | undefined;
}

const selection = {
  percentage: { type: 'integer', minimum: 0, maximum: 100, description: 'Of 100 requests; all if not given.' },
  vars: {
    type: 'array',
    maxItems: 20,
    items: { type: 'array' },
    description: 'Only requests for which one of these expressions holds; each is a list of conditions.',
  },
};

export const faultInjection = definePlugin<Config, State>({
  name: 'fault-injection',
  priority: 11_000,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      abort: {
        type: 'object',
        description: 'Answers the request itself.',
        properties: {
          http_status: { type: 'integer', minimum: 200, maximum: 599, description: 'Status of the answer.' },
          body: { type: 'string', minLength: 0, description: 'Body of the answer, with variables (`$remote_addr`).' },
          headers: {
            type: 'object',
            minProperties: 1,
            additionalProperties: { anyOf: [{ type: 'string' }, { type: 'number' }] },
            description: 'Headers of the answer, values with variables.',
          },
          ...selection,
        },
        required: ['http_status'],
      },
      delay: {
        type: 'object',
        description: 'Holds the request back.',
        properties: {
          duration: { type: 'number', minimum: 0, description: 'Seconds.' },
          ...selection,
        },
        required: ['duration'],
      },
    },
    minProperties: 1,
  },

  compile({ abort, delay }) {
    return {
      delay: delay && { applies: compileSelection(delay, 'delay'), milliseconds: delay.duration * 1000 },
      abort: abort && { applies: compileSelection(abort, 'abort'), reply: compileReply(abort) },
    };
  },

  rewrite(state, exchange) {
    const { delay } = state;
    if (delay?.applies(exchange) !== true || exchange.dryRun) return abortedBy(state, exchange);
    return wait(delay.milliseconds).then(() => abortedBy(state, exchange));
  },
});

function abortedBy({ abort }: State, exchange: Exchange): Reply | undefined {
  return abort?.applies(exchange) === true ? abort.reply(exchange) : undefined;
}

function compileSelection({ percentage, vars }: Selection, field: string): Applies {
  const expressions = (vars ?? []).map((rules) => {
    try {
      return compileExpression<Exchange>(rules, compileVariable);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(`failed to validate the '${field}.vars' expression: ${error.message}`, { cause: error });
    }
  });
  return (exchange) => {
    if (percentage !== undefined && Math.random() * 100 >= percentage) return false;
    return expressions.length === 0 || expressions.some((holds) => holds(exchange));
  };
}

function compileReply({
  http_status: status,
  body,
  headers,
}: NonNullable<Config['abort']>): (exchange: Exchange) => Reply {
  const text = body === undefined ? undefined : compileTextTemplate(body);
  const fields = Object.entries(headers ?? {}).map(([name, value]): [string, Template] => [
    name,
    compileTextTemplate(headerLiteral('abort.headers', name, value)),
  ]);
  const reason = 'fault-injection.aborted';
  return (exchange) => ({
    status,
    reason,
    ...(fields.length === 0
      ? {}
      : { headers: Object.fromEntries(fields.map(([name, fill]) => [name, fieldText(fill(exchange))])) }),
    ...(text === undefined ? {} : { body: text(exchange) }),
  });
}
