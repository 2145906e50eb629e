/**
 * ext-plugin-post-req: as ext-plugin-pre-req, but after the other plugins of the route have let the request pass: the runner
 * sees the consumer, and path, arguments and headers as they would go upstream.
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

export const extPluginPostReq = definePlugin<ExtPluginConfig, ExtPluginState>({
  name: 'ext-plugin-post-req',
  priority: -3000,
  version: '0.1',
  schema: extPluginSchema,

  compile(config, deps) {
    return compileExtPlugin('ext-plugin-post-req', config, deps);
  },

  access(state, exchange) {
    return judgeRequest(state, exchange);
  },

  headerFilter(state, exchange) {
    addResponseHeaders(state, exchange);
  },
});
