/**
 * The built-in plugins, listed one by one, and the registry of those that the settings enable. Nothing registers itself
 * by being imported: what runs is what stands here.
 */
import { checkingHttpClients } from '../plugin/http-client/client.ts';
import type { HttpClients } from '../plugin/http-client/index.ts';
import type { AnyPlugin } from '../plugin/plugin.ts';
import { acl } from './acl/index.ts';
import { attachConsumerLabel } from './attach-consumer-label/index.ts';
import { basicAuth } from './basic-auth/index.ts';
import { consumerRestriction } from './consumer-restriction/index.ts';
import { cors } from './cors/index.ts';
import { customAuth } from './custom-auth/index.ts';
import { csrf } from './csrf/index.ts';
import { echo } from './echo/index.ts';
import { extPluginPostReq } from './ext-plugin-post-req/index.ts';
import { extPluginPostResp } from './ext-plugin-post-resp/index.ts';
import { extPluginPreReq } from './ext-plugin-pre-req/index.ts';
import { faultInjection } from './fault-injection/index.ts';
import { fileLogger } from './file-logger/index.ts';
import { forwardAuth } from './forward-auth/index.ts';
import { hmacAuth } from './hmac-auth/index.ts';
import { httpLogger } from './http-logger/index.ts';
import { ipRestriction } from './ip-restriction/index.ts';
import { jweDecrypt } from './jwe-decrypt/index.ts';
import { jwtAuth } from './jwt-auth/index.ts';
import { keyAuth } from './key-auth/index.ts';
import { limitConn } from './limit-conn/index.ts';
import { limitCount } from './limit-count/index.ts';
import { limitReq } from './limit-req/index.ts';
import { mocking } from './mocking/index.ts';
import { multiAuth } from './multi-auth/index.ts';
import { opa } from './opa/index.ts';
import { prometheus } from './prometheus/index.ts';
import { proxyRewrite } from './proxy-rewrite/index.ts';
import { realIp } from './real-ip/index.ts';
import { publicApi } from './public-api/index.ts';
import { redirect } from './redirect/index.ts';
import { refererRestriction } from './referer-restriction/index.ts';
import { requestId } from './request-id/index.ts';
import { requestValidation } from './request-validation/index.ts';
import { responseRewrite } from './response-rewrite/index.ts';
import { serverlessPostFunction } from './serverless-post-function/index.ts';
import { serverlessPreFunction } from './serverless-pre-function/index.ts';
import { uaRestriction } from './ua-restriction/index.ts';
import { uriBlocker } from './uri-blocker/index.ts';

/** By priority, highest first, as they run. */
export const builtInPlugins: readonly AnyPlugin[] = [
  realIp,
  requestId,
  extPluginPreReq,
  faultInjection,
  mocking,
  serverlessPreFunction,
  cors,
  ipRestriction,
  uaRestriction,
  refererRestriction,
  csrf,
  uriBlocker,
  requestValidation,
  multiAuth,
  hmacAuth,
  basicAuth,
  jwtAuth,
  jweDecrypt,
  keyAuth,
  customAuth,
  acl,
  consumerRestriction,
  attachConsumerLabel,
  forwardAuth,
  opa,
  proxyRewrite,
  limitConn,
  limitCount,
  limitReq,
  redirect,
  responseRewrite,
  publicApi,
  prometheus,
  echo,
  httpLogger,
  fileLogger,
  serverlessPostFunction,
  extPluginPostReq,
  extPluginPostResp,
];

export interface PluginRegistry {
  /** undefined: unknown, or not enabled. */
  get(name: string): AnyPlugin | undefined;
  /** The enabled ones, by priority. */
  list(): readonly AnyPlugin[];
  /** The known ones, enabled or not, by priority. */
  all(): readonly AnyPlugin[];
  /** For where configuration is only checked. */
  readonly http: HttpClients;
  /** Names that were to be enabled and that nothing here bears. */
  readonly unknown: readonly string[];
}

/**
 * `enabled`: the settings' `plugins`; undefined enables all. `added`: plugins from elsewhere; one that bears a built-in's
 * name stands in its place.
 */
export function createRegistry(
  enabled: readonly string[] | undefined,
  added: readonly AnyPlugin[] = [],
): PluginRegistry {
  const known = new Map([...builtInPlugins, ...added].map((plugin) => [plugin.name, plugin]));
  const all = [...known.values()].sort((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1));
  const wanted = new Set(enabled ?? known.keys());
  const list = all.filter((plugin) => wanted.has(plugin.name));
  const byName = new Map(list.map((plugin) => [plugin.name, plugin]));
  return {
    get: (name) => byName.get(name),
    list: () => list,
    all: () => all,
    http: checkingHttpClients,
    unknown: [...wanted].filter((name) => !known.has(name)),
  };
}
