/**
 * token-check: asks a service of your own whether an API token is good, and remembers the answer for a while. The service is asked with
 * the token in a header; it answers 200 and { "user": "…" }, or 401 or 403.
 *
 *   "token-check": { "url": "https://tokens.internal/check", "ssl_cert": "…", "ssl_key": "$secret://…" }
 */
import { createHash } from 'node:crypto';
import { definePlugin, httpClientSchema, pickHttpClientOptions, reply } from 'gatewright/plugin';

/** Who the token is of; undefined: nobody. */
interface Verdict {
  readonly user: string | undefined;
}

export default definePlugin({
  name: 'token-check',
  priority: 2550, // among authentication
  schema: {
    type: 'object',
    properties: {
      url: { type: 'string', pattern: '^https?://', description: 'Where tokens are checked.' },
      ttl_ms: { type: 'integer', minimum: 0, default: 10_000, description: 'Milliseconds that an answer counts.' },
      ...httpClientSchema,
    },
    required: ['url'],
  },

  compile(config, deps) {
    // The client's options stand beside our own. One that cannot be used, or is misspelt, is refused when the route is written.
    const http = deps.http.client(pickHttpClientOptions(config, ['url', 'ttl_ms']));
    return {
      url: config.url,
      http,
      verdicts: deps.cache<Verdict>({ max: 10_000, ttlMs: config.ttl_ms }),
      log: deps.log,
    };
  },

  async access({ url, http, verdicts, log }, exchange) {
    const token = /^Bearer (\S+)$/i.exec(exchange.headers.get('authorization') ?? '')?.[1];
    if (token === undefined)
      return reply(401, { message: 'a bearer token is needed' }, { reason: 'token-check.missing' });
    try {
      // Requests with the same token wait for one call. The cache holds a digest: no token lies in memory.
      const key = createHash('sha256').update(token).digest('base64');
      const { user } = await verdicts.load(key, async () => {
        const answer = await http.request({ url, headers: { 'X-Token': token } });
        if (answer.status === 200) return { user: String((answer.json() as { user: unknown }).user) };
        if (answer.status === 401 || answer.status === 403) return { user: undefined };
        throw new Error(`the token service answered ${answer.status}`);
      });
      if (user === undefined)
        return reply(401, { message: 'the token is not good' }, { reason: 'token-check.refused' });
      exchange.headers.set('X-User', user);
      exchange.headers.remove('authorization');
      return undefined;
    } catch (error) {
      // No verdict, no entry. A failure is not kept: the next request asks again.
      log.error('the token service gave no verdict', { error: String(error) });
      return reply(503, { message: 'try again later' }, { reason: 'token-check.no_verdict' });
    }
  },

  dispose({ http }) {
    http.close();
  },
});
