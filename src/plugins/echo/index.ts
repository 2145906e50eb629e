/**
 * echo: puts text before and after a response's body, or in its place, and sets response headers. Runs in `header_filter` and
 * `body_filter`. An example of a plugin, as in APISIX, and useful to see that a route is reached.
 */
import { headerLiteral } from '../../plugin/header-operations.ts';
import { definePlugin } from '../../plugin/plugin.ts';

interface Config {
  before_body?: string;
  body?: string;
  after_body?: string;
  headers?: Record<string, string>;
}

interface State {
  readonly before: Buffer;
  /** undefined: the upstream's. */
  readonly body: Buffer | undefined;
  readonly after: Buffer;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Marks an exchange whose response has begun; a route and a global rule may both have this plugin. */
  readonly begun: string;
}

export const echo = definePlugin<Config, State>({
  name: 'echo',
  priority: 412,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      before_body: { type: 'string', description: 'Text before the body.' },
      body: { type: 'string', description: 'Text in place of the body.' },
      after_body: { type: 'string', description: 'Text after the body.' },
      headers: {
        type: 'object',
        minProperties: 1,
        additionalProperties: { type: 'string' },
        description: 'Response headers.',
      },
    },
    anyOf: [{ required: ['before_body'] }, { required: ['body'] }, { required: ['after_body'] }],
    minProperties: 1,
  },

  compile({ before_body: before = '', body, after_body: after = '', headers = {} }, { scope }) {
    return {
      before: Buffer.from(before),
      body: body === undefined ? undefined : Buffer.from(body),
      after: Buffer.from(after),
      headers: Object.entries(headers).map(([name, value]) => [name, headerLiteral('headers', name, value)]),
      begun: `echo:${scope}`,
    };
  },

  headerFilter(state, { response }) {
    for (const [name, value] of state.headers) response.headers.set(name, value);
  },

  bodyFilter(state, exchange, chunk, last) {
    const pieces: Uint8Array[] = [];
    if (!exchange.context.has(state.begun)) {
      exchange.context.set(state.begun, true);
      pieces.push(state.before, state.body ?? Buffer.alloc(0));
    }
    if (state.body === undefined) pieces.push(chunk);
    if (last) pieces.push(state.after);
    return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
  },
});
