/** A leaky bucket: each request puts one in, `rate` a second run out, and no more than `burst` may stand in it. */
import type { Counters } from '../../plugin/counters/counters.ts';
import { redisScript, type RedisRunner } from '../../plugin/redis/redis-client.ts';

export interface Bucket {
  /** Milliseconds that the request has to wait for its turn; below 0: refused. Local ones answer at once. */
  take(key: string): number | Promise<number>;
}

/** Exact among all workers. A record: expiry, what stands in the bucket, when that was so. */
export function createLocalBucket(rate: number, burst: number, counters: Counters): Bucket {
  const change = (numbers: Float64Array, at: number): number => {
    const now = counters.now();
    let excess = 0;
    if (numbers[at] !== 0) {
      // A clock that was put back: no time has passed.
      const elapsed = Math.max(0, now - (numbers[at + 2] ?? 0));
      excess = Math.max(0, (numbers[at + 1] ?? 0) - (rate * elapsed) / 1000 + 1);
      if (excess > burst) return -1;
    }
    numbers[at + 1] = excess;
    numbers[at + 2] = now;
    // Empty by then, as if it had never been.
    numbers[at] = now + ((excess + 1) * 1000) / rate;
    return (excess * 1000) / rate;
  };
  return { take: (key) => counters.update(key, change) };
}

/** By Redis's own clock; numbers with fractions are kept as text. Returns microseconds. */
const script = redisScript(`
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local kept = redis.call('HMGET', KEYS[1], 'e', 't')
local excess = 0
if kept[1] then
  local elapsed = math.max(0, now - tonumber(kept[2]))
  excess = math.max(0, tonumber(kept[1]) - rate * elapsed / 1000 + 1)
  if excess > burst then return {-1} end
end
redis.call('HSET', KEYS[1], 'e', string.format('%.6f', excess), 't', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((excess + 1) * 1000 / rate))
return {math.ceil(excess * 1000000 / rate)}`);

/** Exact among all gateways that use the same Redis. */
export function createRedisBucket(rate: number, burst: number, redis: RedisRunner): Bucket {
  return {
    async take(key) {
      const [micros = -1] = await redis.run(script, `plugin-limit-req:${key}`, [rate, burst]);
      return micros < 0 ? -1 : micros / 1000;
    },
  };
}
