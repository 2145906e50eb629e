/**
 * file-logger: one line of JSON a request, appended to a file after the response. Reads bodies in `access` and `body_filter` where
 * they are wanted, writes in `log`. A relative path is below the working directory; SIGHUP opens files anew after rotation.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileExpression } from '../../expression/expression.ts';
import type { Exchange } from '../../plugin/exchange.ts';
import { openAppendFile, type AppendFile } from '../../plugin/logging/append-file.ts';
import { logEntryProperties, type LogEntryConfig } from '../../plugin/logging/log-entry.ts';
import {
  bodyCopyingPhases,
  compileLogger,
  loggerMetadataSchema,
  type LoggerState,
} from '../../plugin/logging/logger.ts';
import { definePlugin, type PluginDeps } from '../../plugin/plugin.ts';
import type { Opened, Shared } from '../../plugin/shared-resources.ts';
import { compileVariable } from '../../plugin/variables.ts';
import type { Json } from '../../resources/resource.ts';

interface Config extends LogEntryConfig {
  path: string;
  match?: Json[];
}

interface State extends LoggerState {
  readonly matches: ((exchange: Exchange) => boolean) | undefined;
  /** Opened with the first line; one a worker and path. */
  readonly open: () => Shared<AppendFile>;
  file: Shared<AppendFile> | undefined;
}

export const fileLogger = definePlugin<Config, State>({
  name: 'file-logger',
  priority: 399,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      path: { type: 'string', minLength: 1, description: 'File that lines are appended to.' },
      match: { type: 'array', minItems: 1, description: 'Only requests for which this expression holds.' },
      ...logEntryProperties,
    },
    required: ['path'],
  },
  metadataSchema: loggerMetadataSchema,

  compile(config, deps) {
    const { path } = config;
    return {
      entries: compileLogger('file-logger', config, deps).entries,
      matches: config.match === undefined ? undefined : compileMatch(config.match),
      open: () => deps.shared.acquire(`file-logger ${path}`, () => openFile(path, deps)),
      file: undefined,
    };
  },

  dispose(state) {
    state.file?.release();
  },

  ...bodyCopyingPhases,

  log(state, exchange) {
    if (state.matches?.(exchange) === false) return;
    state.file ??= state.open();
    state.file.value.append(state.entries.entry(exchange));
  },
});

function openFile(path: string, deps: PluginDeps): Opened<AppendFile> {
  const file = openAppendFile(path, (error, lost) => {
    deps.log.error('log entries could not be written', { path, error, lost });
  });
  const ends = [
    deps.events.onReopen(() => {
      file.reopen();
    }),
    deps.events.onStop(() => file.close()),
  ];
  return {
    value: file,
    close: () => {
      for (const end of ends) end();
      void file.close();
    },
  };
}

function compileMatch(rules: Json[]): (exchange: Exchange) => boolean {
  try {
    return compileExpression<Exchange>(rules, compileVariable);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`failed to validate the 'match' expression: ${error.message}`, { cause: error });
  }
}
