/** create_time and update_time belong to the server, in seconds since the epoch. */
import type { JsonObject } from '../resources/resource.ts';

/**
 * APISIX: stores what a PUT says; here a value that was read and written back does not carry its old times along.
 * create_time is the one of `previous`, the resource that is replaced.
 */
export function setTimes(value: JsonObject, previous: JsonObject | undefined): void {
  const now = seconds();
  value['create_time'] = previous?.['create_time'] ?? now;
  value['update_time'] = now;
}

/** It is changed now; what says when it was made stays. */
export function touch(value: JsonObject): void {
  if (value['update_time'] !== undefined) value['update_time'] = seconds();
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
