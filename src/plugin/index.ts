/**
 * What a plugin's author imports: `import { definePlugin } from 'gatewright/plugin'`. Built-in plugins use nothing else
 * of the gateway.
 */
export { ConfigError, GatewayError } from '../errors/gateway-error.ts';
export { compileAddressMatcher } from '../address/cidr.ts';
export { compileExpression } from '../expression/expression.ts';
export { compileRegex } from '../expression/regex.ts';
export type { Json, JsonSchema } from '../resources/resource.ts';
export type { Counters } from './counters/counters.ts';
export type {
  AuthenticatedConsumer,
  Exchange,
  ExchangeResponse,
  ExchangeTimes,
  HeaderFields,
  MatchedRoute,
  UpstreamRequest,
} from './exchange.ts';
export type { FunctionContext, VerificationAnswer, VerificationEvent } from './authorizer/verification-event.ts';
export {
  checkReference,
  FunctionError,
  type FunctionErrorCode,
  type FunctionHandle,
  type FunctionReference,
  type Functions,
} from './functions.ts';
export { compileHeaderOperations, fieldText, headerValuesSchema, type HeaderOperations } from './header-operations.ts';
export {
  HttpClientError,
  httpClientSchema,
  httpClientSecretFields,
  pickHttpClientOptions,
  type HttpClient,
  type HttpClientErrorCode,
  type HttpClientOptions,
  type HttpClients,
  type HttpRequest,
  type HttpResponse,
  type HttpResponseHeaders,
} from './http-client/index.ts';
export {
  definePlugin,
  type AnyPlugin,
  type Counter,
  type CredentialDefinition,
  type CredentialIndex,
  type Gauge,
  type Histogram,
  type IndexedCredential,
  type MaybeAsync,
  type Metrics,
  type PhaseResult,
  type Plugin,
  type PluginAccess,
  type PluginApi,
  type PluginDeps,
  type PluginLog,
  type PluginOf,
  type Reply,
  type SecretReader,
} from './plugin.ts';
export type { ConfigOf, FromSchema, StandardSchema } from './schema-types.ts';
export { isUnresolvedReference } from './secret-reference.ts';
export type { Opened, Shared, SharedResources, WorkerEvents } from './shared-resources.ts';
export { reply } from './reply.ts';
export type { PluginTimers } from './timers.ts';
export type { CacheOptions, ValueCache } from './value-cache.ts';
export { compileReplacement, compileTextTemplate, replaceMatch, type Template } from './substitution.ts';
export { encodePath, encodeQuery, encodeUnsafe, queryValues, withoutQueryParameter } from './uri.ts';
export { compileVariable } from './variables.ts';
