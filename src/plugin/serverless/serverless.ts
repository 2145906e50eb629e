/**
 * What serverless-pre-function and serverless-post-function have in common: JavaScript functions of the configuration, run one after
 * the other in one phase.
 * Invariant: without `gatewright.code_in_config` in the settings no text of a configuration is ever compiled.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import type { Json, JsonSchema } from '../../resources/resource.ts';
import type { Exchange } from '../exchange.ts';
import type { MaybeAsync, Plugin, PluginDeps, PluginLog, Reply } from '../plugin.ts';
import { compileSource, type SourceFunction } from './compile-source.ts';

export type ServerlessPhase = 'rewrite' | 'access' | 'before_proxy' | 'header_filter' | 'body_filter' | 'log';

export interface ServerlessConfig {
  phase: ServerlessPhase;
  functions: string[];
}

export interface ServerlessState {
  readonly phase: ServerlessPhase;
  readonly conf: Readonly<Record<string, Json>>;
  readonly functions: readonly SourceFunction[];
  readonly log: PluginLog;
}

/** For functions that wait. */
const timeoutMs = 10_000;

const schema: JsonSchema = {
  type: 'object',
  properties: {
    phase: {
      type: 'string',
      enum: ['rewrite', 'access', 'before_proxy', 'header_filter', 'body_filter', 'log'],
      default: 'access',
      description: 'When the functions run.',
    },
    functions: {
      type: 'array',
      items: { type: 'string' },
      minItems: 1,
      description:
        'JavaScript functions, run in order: `(conf, exchange) => { … }`, or statements that return one. `deps` is in scope.',
    },
  },
  required: ['functions'],
};

/** All of the plugin but its name. */
export function serverlessPlugin(priority: number): Omit<Plugin<ServerlessConfig, ServerlessState>, 'name'> {
  return {
    priority,
    version: '0.1',
    timeoutMs,
    schema,
    compile,
    filtersBody: ({ phase }) => phase === 'body_filter',
    rewrite: (state, exchange) => (state.phase === 'rewrite' ? decide(state, exchange, 0) : undefined),
    access: (state, exchange) => (state.phase === 'access' ? decide(state, exchange, 0) : undefined),
    beforeProxy: (state, exchange) => (state.phase === 'before_proxy' ? decide(state, exchange, 0) : undefined),
    headerFilter(state, exchange) {
      if (state.phase !== 'header_filter') return;
      for (const [index, run] of state.functions.entries()) now(run(state.conf, exchange), index);
    },
    bodyFilter: ({ conf, functions }, exchange, chunk, last) => {
      let piece = chunk;
      for (const [index, run] of functions.entries())
        piece = bytesOf(now(run(conf, exchange, piece, last), index), index) ?? piece;
      return piece;
    },
    log(state, exchange) {
      if (state.phase !== 'log') return;
      for (const run of state.functions) report(state, run, exchange);
    },
  };
}

function compile(config: ServerlessConfig, deps: PluginDeps): ServerlessState {
  if (deps.attributes['code_in_config'] !== true)
    throw new ConfigError('code in a configuration is off; gatewright.code_in_config: true in the settings allows it');
  return {
    phase: config.phase,
    conf: config as unknown as Readonly<Record<string, Json>>,
    functions: config.functions.map((source, index) => compileSource(source, `functions[${index}]`, deps)),
    log: deps.log,
  };
}

/** The first reply ends the request, and the functions after it do not run. */
function decide(state: ServerlessState, exchange: Exchange, from: number): MaybeAsync {
  const { conf, functions } = state;
  for (let index = from; index < functions.length; index++) {
    const result = functions[index]?.(conf, exchange);
    if (result instanceof Promise)
      return result.then((value: unknown) => replyOf(value, index) ?? decide(state, exchange, index + 1));
    const reply = replyOf(result, index);
    if (reply !== undefined) return reply;
  }
  return undefined;
}

/** Throws on what is neither nothing nor a reply: a request must not pass for a slip of the pen. */
function replyOf(value: unknown, index: number): Reply | undefined {
  if (value === undefined || value === null) return undefined;
  const status = (value as { status?: unknown }).status;
  if (typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599) return value as Reply;
  throw new TypeError(`functions[${index}] returned no reply: return nothing to go on, or { status, headers, body }`);
}

function now(value: unknown, index: number): unknown {
  if (!(value instanceof Promise)) return value;
  value.catch(() => undefined);
  throw new TypeError(`functions[${index}] returned a promise: this phase cannot wait`);
}

function bytesOf(value: unknown, index: number): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`functions[${index}] returned neither text nor bytes`);
}

/** Each function of the log phase runs, whatever becomes of the others. */
function report({ conf, log }: ServerlessState, run: SourceFunction, exchange: Exchange): void {
  const failed = (error: unknown): void => {
    log.error('plugin failed', { phase: 'log', error: error instanceof Error ? error.stack : String(error) });
  };
  try {
    const result = run(conf, exchange);
    if (result instanceof Promise) result.catch(failed);
  } catch (error) {
    failed(error);
  }
}
