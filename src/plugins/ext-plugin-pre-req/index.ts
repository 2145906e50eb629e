/**
 * ext-plugin-pre-req: has a plugin runner judge the request before any other plugin of the route: it may answer in the gateway's
 * place, change what goes upstream, or let it pass. Protocol: APISIX's external plugins (docs/runners.md).
 * A runner that is dead, hangs, lies or refuses ends the request with `status_on_error`; it never passes unless
 * `allow_degradation` says so. Explain does not ask the runner.
 * APISIX: `runner` and `status_on_error` are ours.
 */
import { definePlugin } from '../../plugin/plugin.ts';
import {
  compileExtPlugin,
  extPluginSchema,
  type ExtPluginConfig,
  type ExtPluginState,
} from '../../plugin/runners/ext-plugin.ts';
import { addResponseHeaders, judgeRequest } from '../../plugin/runners/request-call.ts';

export const extPluginPreReq = definePlugin<ExtPluginConfig, ExtPluginState>({
  name: 'ext-plugin-pre-req',
  priority: 12000,
  version: '0.1',
  schema: extPluginSchema,

  compile(config, deps) {
    return compileExtPlugin('ext-plugin-pre-req', config, deps);
  },

  rewrite(state, exchange) {
    return judgeRequest(state, exchange);
  },

  headerFilter(state, exchange) {
    addResponseHeaders(state, exchange);
  },
});
