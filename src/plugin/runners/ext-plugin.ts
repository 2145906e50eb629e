/**
 * What the three ext-plugin-* plugins have in common: their configuration, and what becomes of a call that came to no verdict.
 * Invariant: without a verdict the request ends, unless `allow_degradation` says otherwise; the log says so either way.
 */
import { STATUS_CODES } from 'node:http';
import type { JsonSchema } from '../../resources/resource.ts';
import { definePlugin, type Plugin, type PluginDeps, type PluginLog, type Reply } from '../plugin.ts';
import { RunnerError, type RunnerSession, type TextEntry } from './runners.ts';

export interface ExtPluginConfig {
  conf?: { name: string; value: string }[];
  runner?: string;
  allow_degradation: boolean;
  status_on_error: number;
}

export interface ExtPluginState {
  readonly plugin: string;
  readonly session: RunnerSession;
  readonly allowDegradation: boolean;
  readonly statusOnError: number;
  readonly maxBodyBytes: number;
  readonly log: PluginLog;
  /** Under it an exchange's context keeps what is to be done to the response. */
  readonly contextKey: string;
}

const schema: JsonSchema = {
  type: 'object',
  properties: {
    conf: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 128, description: 'Name of a plugin in the runner.' },
          value: { type: 'string', description: 'Its configuration, as that plugin reads it: JSON text mostly.' },
        },
        required: ['name', 'value'],
      },
      description: 'The plugins that the runner runs, in this order.',
    },
    runner: {
      type: 'string',
      minLength: 1,
      description: 'Name of the runner in `ext-plugin.runners`; the one of `ext-plugin.cmd` if not given.',
    },
    allow_degradation: {
      type: 'boolean',
      default: false,
      description: 'Where the runner comes to no verdict, let the request go on without one.',
    },
    status_on_error: {
      type: 'integer',
      minimum: 200,
      maximum: 599,
      default: 503,
      description: 'Status of the answer where the runner comes to no verdict.',
    },
  },
};

type ExtPlugin = Plugin<ExtPluginConfig, ExtPluginState>;

/** One of the three: what its runner is asked in which phases. */
export function defineExtPlugin(
  name: string,
  priority: number,
  phases: Pick<ExtPlugin, 'rewrite' | 'access' | 'upstreamResponse' | 'headerFilter'>,
): ExtPlugin {
  return definePlugin<ExtPluginConfig, ExtPluginState>({
    name,
    priority,
    version: '0.1',
    schema,
    compile: (config, deps) => compile(name, config, deps),
    ...phases,
  });
}

/** Throws ConfigError where there is no such runner. */
function compile(plugin: string, config: ExtPluginConfig, deps: PluginDeps): ExtPluginState {
  const entries = (config.conf ?? []).map(({ name, value }): TextEntry => [utf8Bytes(name), utf8Bytes(value)]);
  return {
    plugin,
    session: deps.runners.session(config.runner, entries),
    allowDegradation: config.allow_degradation,
    statusOnError: config.status_on_error,
    maxBodyBytes: deps.runners.maxBodyBytes,
    log: deps.log,
    contextKey: `${plugin} ${deps.scope}`,
  };
}

/** The reply that ends a request without a verdict; undefined: it goes on. Throws what is not the runner's failure. */
export function withoutVerdict(state: ExtPluginState, error: unknown): Reply | undefined {
  if (!(error instanceof RunnerError)) throw error;
  const { statusOnError } = state;
  if (state.allowDegradation) {
    state.log.warn('the request goes on without the runner (allow_degradation)', {
      reason: error.failure,
      detail: error.message,
    });
    return undefined;
  }
  return {
    status: statusOnError,
    body: { error_msg: `${String(statusOnError)} ${STATUS_CODES[statusOnError] ?? 'Error'}` },
    reason: `${state.plugin}.${error.failure}`,
    detail: error.message,
  };
}

/** Text → its UTF-8 bytes as Latin-1, as the wire has it. */
export function utf8Bytes(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}
