/**
 * serverless-pre-function: JavaScript functions in the configuration, run in a phase of choice before the other plugins. Each is called
 * with `(conf, exchange)`, as a TypeScript plugin's phases are; in `body_filter` with `(conf, exchange, chunk, last)`, and returns the
 * piece to send instead. A function that returns nothing lets the request go on, `{ status: 403, body: { message: 'no' } }` ends it.
 * `deps` is what a TypeScript plugin's `compile` is given: `deps.log`, `deps.http`, `deps.counters` …;
 * `process.getBuiltinModule('node:crypto')` is a module of Node.js, and `import()` fails. A function that throws ends the request with
 * 500, one that waits for more than 10 seconds with 504; one that loops without end holds up its worker, which is replaced after
 * 10 seconds. The code runs in the gateway's process and may do what the gateway may: whoever can write a route can then run code, so it
 * is refused unless the settings have `gatewright.code_in_config: true`. A plugin in a file (docs/plugins-in-typescript.md) needs no such
 * setting.
 * APISIX: functions are JavaScript; a function in Lua is refused.
 * APISIX: off until `gatewright.code_in_config` allows it.
 */
import { definePlugin } from '../../plugin/plugin.ts';
import { serverlessPlugin, type ServerlessConfig, type ServerlessState } from '../../plugin/serverless/serverless.ts';

export const serverlessPreFunction = definePlugin<ServerlessConfig, ServerlessState>({
  name: 'serverless-pre-function',
  ...serverlessPlugin(10_000),
});
