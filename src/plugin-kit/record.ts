/** What a test reads afterwards of what the gateway would have logged. */
import type { PluginLog } from '../plugin/plugin.ts';
import type { ProxyLog } from '../proxy/proxy.ts';

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Refusal {
  readonly status: number;
  /** `plugin.reason_code` */
  readonly reason: string | undefined;
  readonly detail: string | undefined;
}

export interface Recorder {
  readonly record: PluginLog;
  readonly log: ProxyLog;
  readonly logged: readonly LogLine[];
  readonly refusals: readonly Refusal[];
  /** Resolves when the next request is over, its log phase too. */
  readonly onEnd: () => Promise<void>;
}

export function recordProxy(): Recorder {
  const logged: LogLine[] = [];
  const refusals: Refusal[] = [];
  let waiting: (() => void)[] = [];
  const at =
    (level: LogLine['level']): PluginLog['info'] =>
    (message, fields = {}) =>
      void logged.push({ level, message, fields });
  const record = { error: at('error'), warn: at('warn'), info: at('info') };
  return {
    record,
    logged,
    refusals,
    onEnd: () => new Promise((resolve) => void waiting.push(resolve)),
    log: {
      refused: (_exchange, { status, reason, detail }, exchangeDetail) =>
        void refusals.push({ status, reason, detail: detail ?? exchangeDetail }),
      pluginFailed: (plugin, phase, error) => {
        record.error('plugin failed', {
          plugin,
          phase,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
      },
      attemptFailed: (_exchange, node, { code, detail }) => {
        record.warn('upstream attempt failed', { node, code, detail });
      },
      badRequest: (_connection, { code, detail }) => {
        record.info('bad request', { code, detail });
      },
      access: () => {
        const due = waiting;
        waiting = [];
        for (const resolve of due) resolve();
      },
    },
  };
}
