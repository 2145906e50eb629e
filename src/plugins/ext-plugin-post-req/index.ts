/**
 * ext-plugin-post-req: as ext-plugin-pre-req, but after the other plugins of the route have let the request pass: the runner
 * sees the consumer, and path, arguments and headers as they would go upstream.
 * APISIX: `runner` and `status_on_error` are ours.
 */
import { defineExtPlugin } from '../../plugin/runners/ext-plugin.ts';
import { addResponseHeaders, judgeRequest } from '../../plugin/runners/request-call.ts';

export const extPluginPostReq = defineExtPlugin('ext-plugin-post-req', -3000, {
  access: judgeRequest,
  headerFilter: addResponseHeaders,
});
