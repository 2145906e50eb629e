/**
 * http-logger: tells an HTTP server of every request, in batches, after the response. A server that is slow or away never delays
 * a request: what waits is bounded, what does not fit is dropped and counted (`log_entries_dropped_total`).
 * Reads bodies in `access` and `body_filter` where they are wanted, writes in `log`; what waits is sent before the gateway ends.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { headerLiteral } from '../../plugin/header-operations.ts';
import { Batch } from '../../plugin/logging/batch.ts';
import { logEntryProperties, type LogEntryConfig } from '../../plugin/logging/log-entry.ts';
import {
  bodyCopyingPhases,
  compileLogger,
  loggerMetadataSchema,
  type LoggerState,
} from '../../plugin/logging/logger.ts';
import { definePlugin, type PluginDeps } from '../../plugin/plugin.ts';
import type { Opened, Shared } from '../../plugin/shared-resources.ts';
import { createPoster } from './post.ts';

interface Config extends LogEntryConfig {
  uri: string;
  auth_header: string;
  timeout: number;
  name: string;
  ssl_verify: boolean;
  concat_method: 'json' | 'new_line';
  max_retry_count: number;
  retry_delay: number;
  buffer_duration: number;
  inactive_timeout: number;
  batch_max_size: number;
  max_pending_entries: number;
}

interface State extends LoggerState {
  /** Opened with the first line; one a worker and place, however often that is compiled. */
  readonly open: () => Shared<Batch>;
  batch: Shared<Batch> | undefined;
}

/** Characters of lines that may wait, for one place: bodies make long lines. */
const maxPendingBytes = 64 * 1_048_576;
const seconds = (minimum: number, otherwise: number) => ({ type: 'integer', minimum, default: otherwise });

export const httpLogger = definePlugin<Config, State>({
  name: 'http-logger',
  priority: 410,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      uri: { type: 'string', pattern: '^https?://.+', description: 'Where entries are sent by POST.' },
      auth_header: { type: 'string', default: '', description: 'Value of the Authorization header; empty: none.' },
      timeout: { ...seconds(1, 3), description: 'Seconds to wait for the server.' },
      name: { type: 'string', default: 'http logger', description: 'Name of the batches in log and metrics.' },
      ssl_verify: { type: 'boolean', default: false, description: 'Verify the server’s certificate.' },
      concat_method: {
        type: 'string',
        enum: ['json', 'new_line'],
        default: 'json',
        description: 'A batch is one JSON list, or one JSON object a line.',
      },
      batch_max_size: { ...seconds(1, 1000), description: 'Entries in a batch; with 1 each is sent alone.' },
      inactive_timeout: { ...seconds(1, 5), description: 'Seconds without an entry after which a batch is sent.' },
      buffer_duration: { ...seconds(1, 60), description: 'Seconds after its first entry when a batch is sent.' },
      max_retry_count: { ...seconds(0, 0), description: 'How often a batch that failed is sent again.' },
      retry_delay: { ...seconds(0, 1), description: 'Seconds before it is sent again.' },
      max_pending_entries: {
        ...seconds(1, 10_000),
        description: 'Entries that may wait, in each worker; what comes then is dropped.',
      },
      ...logEntryProperties,
    },
    required: ['uri'],
    encrypt_fields: ['auth_header'],
  },
  metadataSchema: loggerMetadataSchema,

  compile(config, deps) {
    const { entries, key } = compileLogger('http-logger', config, deps);
    const url = parseUrl(config.uri);
    headerLiteral('auth_header', 'Authorization', config.auth_header);
    return {
      entries,
      open: () => deps.shared.acquire(key, () => openBatch(config, url, deps)),
      batch: undefined,
    };
  },

  dispose(state) {
    state.batch?.release();
  },

  ...bodyCopyingPhases,

  log(state, exchange) {
    state.batch ??= state.open();
    state.batch.value.push(state.entries.entry(exchange));
  },
});

function openBatch(config: Config, url: URL, deps: PluginDeps): Opened<Batch> {
  const asJson = config.concat_method === 'json';
  const single = config.batch_max_size === 1;
  const poster = createPoster({
    url,
    headers: {
      'Content-Type': asJson ? 'application/json' : 'text/plain',
      ...(config.auth_header === '' ? {} : { Authorization: config.auth_header }),
    },
    timeoutMs: config.timeout * 1000,
    verify: config.ssl_verify,
  });
  const dropped = deps.metrics
    .counter('log_entries_dropped_total', 'Log entries that were dropped: no room, or the server did not take them', [
      'name',
      'scope',
    ])
    .with([config.name, deps.scope]);
  const batch = new Batch({
    maxSize: config.batch_max_size,
    inactiveMs: config.inactive_timeout * 1000,
    durationMs: config.buffer_duration * 1000,
    maxRetries: config.max_retry_count,
    retryDelayMs: config.retry_delay * 1000,
    maxPending: config.max_pending_entries,
    maxPendingBytes,
    send: (lines) => poster.post(asJson && !single ? `[${lines.join(',')}]` : lines.join('\n')),
    onError: (error, willRetry) => {
      const message = error instanceof Error ? error.message : String(error);
      deps.log.error('log entries could not be sent', { name: config.name, error: message, retry: willRetry });
    },
    onDrop: (lines) => {
      dropped.add(lines);
    },
  });
  const forget = deps.events.onStop(() => batch.close());
  return {
    value: batch,
    close: () => {
      void batch.close().then(() => {
        forget();
        poster.close();
      });
    },
  };
}

function parseUrl(uri: string): URL {
  try {
    return new URL(uri);
  } catch (cause) {
    throw new ConfigError(`invalid uri: ${uri}`, { cause });
  }
}
