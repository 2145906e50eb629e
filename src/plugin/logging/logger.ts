/** What the logger plugins have in common: which bodies they copy and when, their metadata, and the name of a place's entries. */
import { createHash } from 'node:crypto';
import type { JsonSchema } from '../../resources/resource.ts';
import type { Exchange } from '../exchange.ts';
import type { PluginDeps } from '../plugin.ts';
import { compileLogEntries, logFormatSchema, type LogEntries, type LogEntryConfig } from './log-entry.ts';

export interface LoggerState {
  readonly entries: LogEntries;
}

export const loggerMetadataSchema: JsonSchema = {
  type: 'object',
  properties: { log_format: { ...logFormatSchema, description: 'Fields of an entry, where a place names none.' } },
};

/** `key`: the same for the same configuration at the same place, however often it is compiled. */
export function compileLogger(
  name: string,
  config: LogEntryConfig,
  deps: Pick<PluginDeps, 'scope' | 'metadata'>,
): LoggerState & { readonly key: string } {
  const identity = JSON.stringify([deps.scope, config]);
  const key = `${name}:${createHash('sha256').update(identity).digest('base64url').slice(0, 16)}`;
  return { entries: compileLogEntries(config, key, () => deps.metadata()), key };
}

/** To spread into a plugin: copies the bodies that are wanted as they go by. */
export const bodyCopyingPhases = {
  access(state: LoggerState, exchange: Exchange): void {
    state.entries.begin(exchange);
  },
  filtersBody(state: LoggerState): boolean {
    return state.entries.copiesResponse;
  },
  bodyFilter(state: LoggerState, exchange: Exchange, chunk: Uint8Array): Uint8Array {
    state.entries.copy(exchange, chunk);
    return chunk;
  },
};
