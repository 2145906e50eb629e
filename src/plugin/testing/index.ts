/** The plugin test kit: an exchange, metrics and a harness in memory. */
export { TestExchange, TestResponse, type TestExchangeInit } from './exchange.ts';
export { compilePlugin, testConsumer, testDeps, type Harness, type HarnessOptions } from './harness.ts';
export { TestHeaders, type HeaderInit } from './headers.ts';
export { ResourcePool, WorkerSignals } from '../shared-resources.ts';
export { TestMetrics, type TestInstrument } from './metrics.ts';
