/** How many are under way at once, counted in this process or in Redis. */
import { randomUUID } from 'node:crypto';
import type { Counters } from '../../plugin/counters/counters.ts';
import { redisScript, type RedisRunner } from '../../plugin/redis/redis-client.ts';

/** One request's place; given back once. */
export interface Place {
  /** How many are under way, this one included; 0: all places are taken, and there is nothing to give back. */
  readonly number: number;
  release(): void;
}

export interface Places {
  /** Local ones answer at once. */
  enter(key: string, most: number): Place | Promise<Place>;
}

const none: Place = { number: 0, release: () => undefined };

export function createLocalPlaces(counters: Counters): Places {
  return {
    enter(key, most) {
      const number = counters.enter(key, most);
      if (number === 0) return none;
      return {
        number,
        release() {
          counters.leave(key);
        },
      };
    },
  };
}

/** Each request is a member of a sorted set, by the time at which it counts as lost: a gateway that died keeps no place for ever. */
const enterScript = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, ttl = tonumber(ARGV[1]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local number = redis.call('ZCARD', KEYS[1])
if number >= most then return {0} end
redis.call('ZADD', KEYS[1], now + ttl, ARGV[2])
redis.call('PEXPIRE', KEYS[1], ttl)
return {number + 1}`);

const leaveScript = redisScript(`return {redis.call('ZREM', KEYS[1], ARGV[1])}`);

/** `lostMs`: after this a request whose gateway has not given its place back is taken for lost. */
export function createRedisPlaces(
  redis: RedisRunner,
  prefix: string,
  lostMs: number,
  onError: (error: unknown) => void,
): Places {
  return {
    async enter(key, most) {
      const name = `${prefix}:${key}`;
      const member = randomUUID();
      const release = (): void => {
        redis.run(leaveScript, name, [member]).catch(onError);
      };
      let number: number | undefined;
      try {
        [number] = await redis.run(enterScript, name, [most, member, lostMs]);
      } catch (error) {
        // It may have been counted all the same.
        release();
        throw error;
      }
      return number === undefined || number <= 0 ? none : { number, release };
    },
  };
}
