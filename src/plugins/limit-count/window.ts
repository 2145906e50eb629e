/** A window of time that requests are taken out of, counted in this process or in Redis. */
import type { Counters } from '../../plugin/counters/counters.ts';
import { redisScript, type RedisRunner } from '../../plugin/redis/redis-client.ts';

export type WindowType = 'fixed' | 'sliding';

/** Valid until the next `take` of the same window. */
export interface Quota {
  /** What is left after this request; below 0: it is refused. */
  readonly remaining: number;
  /** Until the window ends. */
  readonly resetMs: number;
}

export interface Window {
  /** Local ones answer at once. */
  take(key: string, count: number, windowMs: number): Quota | Promise<Quota>;
}

/**
 * Exact among all workers. A record: expiry, then for `fixed` the number taken; for `sliding` the index of the current window,
 * what was taken in it and in the one before.
 */
export function createLocalWindow(type: WindowType, counters: Counters): Window {
  let count = 0;
  let windowMs = 0;
  const quota = { remaining: 0, resetMs: 0 };

  const fixed = (numbers: Float64Array, at: number): number => {
    const now = counters.now();
    let end = numbers[at] ?? 0;
    // New; or the clock was put back, which must not make a window longer.
    if (end === 0 || end - now > windowMs) {
      end = now + windowMs;
      numbers[at] = end;
      numbers[at + 1] = 0;
    }
    quota.resetMs = end - now;
    const taken = (numbers[at + 1] ?? 0) + 1;
    if (taken > count) return -1;
    numbers[at + 1] = taken;
    return count - taken;
  };
  const sliding = (numbers: Float64Array, at: number): number => {
    const now = counters.now();
    const index = Math.floor(now / windowMs);
    const into = now - index * windowMs;
    const last = numbers[at + 1] ?? 0;
    if (last !== index) {
      numbers[at + 3] = last === index - 1 ? (numbers[at + 2] ?? 0) : 0;
      numbers[at + 2] = 0;
      numbers[at + 1] = index;
      numbers[at] = (index + 2) * windowMs;
    }
    quota.resetMs = windowMs - into;
    const taken = (numbers[at + 2] ?? 0) + 1;
    const left = count - taken - (numbers[at + 3] ?? 0) * (1 - into / windowMs);
    if (left < 0) return -1;
    numbers[at + 2] = taken;
    return Math.floor(left);
  };
  const change = type === 'fixed' ? fixed : sliding;

  return {
    take(key, limit, lengthMs) {
      count = limit;
      windowMs = lengthMs;
      quota.remaining = counters.update(key, change);
      return quota;
    },
  };
}

const fixedScript = redisScript(`
local count, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local left = redis.call('PTTL', KEYS[1])
local taken = 0
if left > 0 then taken = tonumber(redis.call('GET', KEYS[1]) or '0') else left = window end
if taken + 1 > count then return {-1, left} end
if taken == 0 then redis.call('SET', KEYS[1], 1, 'PX', window) else redis.call('INCR', KEYS[1]) end
return {count - taken - 1, left}`);

/** By Redis's own clock, so that those of the gateways need not agree. */
const slidingScript = redisScript(`
local count, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local index = math.floor(now / window)
local into = now - index * window
local kept = redis.call('HMGET', KEYS[1], 'i', 'c', 'p')
local last, taken, before = tonumber(kept[1] or '0'), tonumber(kept[2] or '0'), tonumber(kept[3] or '0')
if last ~= index then
  if last == index - 1 then before = taken else before = 0 end
  taken = 0
end
local left = count - taken - 1 - before * (1 - into / window)
if left < 0 then return {-1, window - into} end
redis.call('HSET', KEYS[1], 'i', index, 'c', taken + 1, 'p', before)
redis.call('PEXPIRE', KEYS[1], 2 * window)
return {math.floor(left), window - into}`);

/** Exact among all gateways that use the same Redis. */
export function createRedisWindow(type: WindowType, redis: RedisRunner): Window {
  const script = type === 'fixed' ? fixedScript : slidingScript;
  return {
    async take(key, count, windowMs) {
      const [remaining = -1, resetMs = 0] = await redis.run(script, `plugin-limit-count:${key}`, [count, windowMs]);
      return { remaining, resetMs };
    },
  };
}
