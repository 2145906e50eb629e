/**
 * daily-quota: so many requests a day for each consumer, counted exactly over all workers; the day is UTC's. A consumer reads what he
 * has used from an internal API, which a route with public-api opens:
 *
 *   { "uri": "/*", "plugins": { "key-auth": {}, "daily-quota": { "requests": 1000 } }, "upstream": … }
 *   { "uri": "/usage", "plugins": { "key-auth": {}, "public-api": { "uri": "/apisix/plugin/daily-quota/usage" } } }
 */
import { definePlugin, reply, type Exchange } from 'gatewright/plugin';

const dayMs = 86_400_000;

/** Counts one more. A record is its expiry, then three numbers; the whole change is one step among all workers. */
const countOne = (numbers: Float64Array, at: number): number => {
  numbers[at] = endOfDay();
  return (numbers[at + 1] = (numbers[at + 1] ?? 0) + 1);
};
/** Reads, and leaves the record as it is. */
const read = (numbers: Float64Array, at: number): number => numbers[at + 1] ?? 0;

export default definePlugin({
  name: 'daily-quota',
  priority: 1001, // after authentication: the consumer is known
  schema: {
    type: 'object',
    properties: { requests: { type: 'integer', minimum: 1, description: 'Requests a day for each consumer.' } },
    required: ['requests'],
    additionalProperties: false,
  },

  compile: ({ requests }, { counters }) => ({ requests, counters }),

  access({ requests, counters }, exchange) {
    const key = keyOf(exchange);
    if (key === undefined) return reply(401, { message: 'who are you?' }, { reason: 'daily-quota.no_consumer' });
    // `gatewright explain` asks what would happen: it counts nothing.
    const used = exchange.dryRun ? counters.update(key, read) + 1 : counters.update(key, countOne);
    if (used <= requests) return undefined;
    const headers = { 'Retry-After': String(Math.ceil((endOfDay() - Date.now()) / 1000)) };
    return reply(429, { message: 'the quota of today is used up' }, { headers, reason: 'daily-quota.exceeded' });
  },

  apis: [
    {
      methods: ['GET'],
      uri: '/apisix/plugin/daily-quota/usage',
      handler(exchange, { counters }) {
        const key = keyOf(exchange);
        if (key === undefined) return reply(401, { message: 'who are you?' }, { reason: 'daily-quota.no_consumer' });
        return reply(200, { used: counters.update(key, read), resets_at: new Date(endOfDay()).toISOString() });
      },
    },
  ],
});

/** One count a consumer, wherever the plugin stands. The day in the key begins a new count. */
function keyOf({ consumer }: Exchange): string | undefined {
  return consumer === undefined ? undefined : `daily-quota ${endOfDay()} ${consumer.username}`;
}

function endOfDay(): number {
  return (Math.floor(Date.now() / dayMs) + 1) * dayMs;
}
