/** Which plugins may be used: the settings' `plugins` list, or the default list, over the plugins that exist here. Pure. */

/**
 * Built-in plugins that stay off until `plugins` lists them.
 * APISIX: `public-api` is on in its newest default list and off in its Helm chart's; off here, for it opens paths that plugins register.
 */
export const offByDefault: ReadonlySet<string> = new Set([
  'batch-requests',
  'brotli',
  'dubbo-proxy',
  'error-log-logger',
  'gm',
  'log-rotate',
  'node-status',
  'ocsp-stapling',
  'opentelemetry',
  'public-api',
  'server-info',
  'skywalking',
]);

/** `listed` is Settings.plugins. `missing`: listed, but not among `existing`; worth one warning together. */
export function enabledPlugins(
  listed: readonly string[] | undefined,
  existing: Iterable<string>,
): { enabled: ReadonlySet<string>; missing: readonly string[] } {
  const all = new Set(existing);
  if (listed === undefined)
    return { enabled: new Set([...all].filter((name) => !offByDefault.has(name))), missing: [] };
  const wanted = [...new Set(listed)];
  return { enabled: new Set(wanted.filter((name) => all.has(name))), missing: wanted.filter((name) => !all.has(name)) };
}
