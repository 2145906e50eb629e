/**
 * ext-plugin-post-resp: has a plugin runner judge the upstream's response before any of it is sent: it may change status, headers
 * and body. The body is read whole only where the runner asks for it, within `ext-plugin.body_size`; else it streams through.
 * A runner that comes to no verdict costs the client the response: `status_on_error` is sent, unless `allow_degradation`.
 * Not asked for replies of the gateway itself. A switch of protocols (101) has no response to judge and is refused.
 * APISIX: makes the request to the upstream itself, without retries, health checks and mutual TLS; here the proxy's own is judged.
 * `runner` and `status_on_error` are ours.
 */
import { defineExtPlugin } from '../../plugin/runners/ext-plugin.ts';
import { judgeResponse } from '../../plugin/runners/response-call.ts';

export const extPluginPostResp = defineExtPlugin('ext-plugin-post-resp', -4000, {
  upstreamResponse: judgeResponse,
});
