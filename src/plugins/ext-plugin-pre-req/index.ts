/**
 * ext-plugin-pre-req: has a plugin runner judge the request before any other plugin of the route: it may answer in the gateway's
 * place, change what goes upstream, or let it pass. Protocol: APISIX's external plugins (docs/runners.md).
 * A runner that is dead, hangs, lies or refuses ends the request with `status_on_error`; it never passes unless
 * `allow_degradation` says so. Explain does not ask the runner.
 * APISIX: `runner` and `status_on_error` are ours.
 */
import { defineExtPlugin } from '../../plugin/runners/ext-plugin.ts';
import { addResponseHeaders, judgeRequest } from '../../plugin/runners/request-call.ts';

export const extPluginPreReq = defineExtPlugin('ext-plugin-pre-req', 12000, {
  rewrite: judgeRequest,
  headerFilter: addResponseHeaders,
});
