/** What the proxy tells operators: refusals with their reason code, failures with their cause; secrets never. */
import type { AccessLog } from './observability/access-log.ts';
import type { Logger } from './observability/error-log.ts';
import type { ProxyLog } from './proxy/proxy.ts';

export function createProxyLog(log: Logger, accessLog: AccessLog | undefined): ProxyLog {
  return {
    refused: (exchange, reply, exchangeDetail) => {
      const detail = reply.detail ?? exchangeDetail;
      log.warn('request refused', {
        reason: reply.reason,
        ...(detail === undefined ? {} : { detail }),
        status: reply.status,
        route: exchange.route?.id,
        consumer: exchange.consumer?.username,
        client: exchange.remoteAddress,
        method: exchange.method,
        host: exchange.host,
        path: exchange.path,
      });
    },
    pluginFailed: (name, phase, error) => {
      log.error('plugin failed', {
        plugin: name,
        phase,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    },
    attemptFailed: (exchange, node, error) => {
      log.warn('upstream attempt failed', { node, code: error.code, detail: error.detail, route: exchange.route?.id });
    },
    badRequest: (connection, error) => {
      log.info('bad request', { code: error.code, detail: error.detail, client: connection.remoteAddress });
    },
    access:
      accessLog === undefined
        ? () => undefined
        : (exchange) => {
            accessLog.write(exchange);
          },
  };
}
