/** `gatewright/plugin/testing`: what a plugin's test imports. `startPlugin` for real HTTP; the rest for a phase alone, in memory. */
export { startPlugin, type PluginGateway, type StartPluginOptions } from './start-plugin.ts';
export { startServer, type Answer, type Answering, type RecordedRequest, type TestServer } from './server.ts';
export type { LogLine, Refusal } from './record.ts';
export {
  compilePlugin,
  testConsumer,
  TestExchange,
  TestHeaders,
  TestMetrics,
  type Harness,
  type HarnessOptions,
  type HeaderInit,
  type TestExchangeInit,
} from '../plugin/testing/index.ts';
