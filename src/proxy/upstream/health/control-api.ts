/** GET /v1/healthcheck and /v1/healthcheck/{src_type}/{src_id} of the control API, in APISIX's words (apisix/control/v1). */
import type { HealthMonitor, HealthReport } from './health-monitor.ts';

export interface ControlAnswer {
  readonly status: number;
  readonly body: readonly HealthReport[] | HealthReport | { readonly error_msg: string };
}

/**
 * `segments`: what follows /v1/healthcheck in the path, decoded; none for the whole list. `exists`: whether a resource is
 * configured at all, by its key (`upstreams/1`).
 */
export function answerHealthcheck(
  monitor: HealthMonitor,
  segments: readonly string[],
  exists: (key: string) => boolean,
): ControlAnswer {
  const [type, id] = segments;
  if (type === undefined) return { status: 200, body: monitor.status() };
  if (id === undefined || id === '') return failure(404, `missing src id for src type ${type}`);
  if (type !== 'routes' && type !== 'services' && type !== 'upstreams') return failure(400, `invalid src type ${type}`);
  const key = `${type}/${id}`;
  const report = monitor.statusOf(key);
  if (report !== undefined) return { status: 200, body: report };
  return failure(404, exists(key) ? `no checker for ${type}[${id}]` : `${type}[${id}] not found`);
}

function failure(status: number, message: string): ControlAnswer {
  return { status, body: { error_msg: message } };
}
