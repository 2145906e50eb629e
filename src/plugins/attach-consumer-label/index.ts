/**
 * attach-consumer-label: labels of the authenticated consumer as request headers for the upstream. Runs in `before_proxy`.
 * Invariant: what the client sent under these names never goes upstream, whether there is a consumer or not.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { foldedNames, removeSpellings } from '../../plugin/identity-headers.ts';
import { definePlugin } from '../../plugin/plugin.ts';

interface Config {
  headers: Record<string, string>;
}

interface State {
  /** [header, label] */
  readonly labels: readonly (readonly [string, string])[];
  /** Folded. */
  readonly names: ReadonlySet<string>;
}

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const fieldValue = /^[\t -~\u0080-\u00ff]*$/;

export const attachConsumerLabel = definePlugin<Config, State>({
  name: 'attach-consumer-label',
  priority: 2399,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      headers: {
        type: 'object',
        minProperties: 1,
        additionalProperties: { type: 'string', pattern: '^\\$.*' },
        description: 'Header → label of the consumer with `$` before it; absent where the consumer has no such label.',
      },
    },
    required: ['headers'],
  },

  compile(config) {
    const labels = Object.entries(config.headers).map(([header, reference]) => {
      if (!token.test(header)) throw new ConfigError(`"${header}" is no header name`);
      return [header, reference.slice(1)] as const;
    });
    return { labels, names: foldedNames(Object.keys(config.headers)) };
  },

  beforeProxy(state, exchange) {
    const labels = exchange.consumer?.labels;
    removeSpellings(exchange.headers, state.names);
    for (const [header, label] of state.labels) {
      if (labels === undefined || !Object.hasOwn(labels, label)) continue;
      const bytes = Buffer.from(labels[label] ?? '').toString('latin1');
      if (fieldValue.test(bytes)) exchange.headers.set(header, bytes);
    }
  },
});
