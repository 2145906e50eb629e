/**
 * serverless-post-function: JavaScript functions in the configuration, run in a phase of choice after the other plugins. Configured and
 * written as for serverless-pre-function, and refused like it unless the settings have `gatewright.code_in_config: true`.
 * APISIX: functions are JavaScript; a function in Lua is refused.
 * APISIX: off until `gatewright.code_in_config` allows it.
 */
import { definePlugin } from '../../plugin/plugin.ts';
import { serverlessPlugin, type ServerlessConfig, type ServerlessState } from '../../plugin/serverless/serverless.ts';

export const serverlessPostFunction = definePlugin<ServerlessConfig, ServerlessState>({
  name: 'serverless-post-function',
  ...serverlessPlugin(-2000),
});
