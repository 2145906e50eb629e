/** The plugins that the settings enable, the same in the control plane and in every worker. */
import { createRegistry, type PluginRegistry } from './plugins/registry.ts';
import { enabledPlugins } from './settings/enabled-plugins.ts';
import type { Settings } from './settings/settings.ts';

/** `missing`: listed in the settings, and nothing here bears the name. */
export function createEnabledRegistry(settings: Settings): { registry: PluginRegistry; missing: readonly string[] } {
  const known = createRegistry(undefined).all();
  const { enabled, missing } = enabledPlugins(
    settings.plugins,
    known.map((plugin) => plugin.name),
  );
  return { registry: createRegistry([...enabled]), missing };
}

/** `plugin_attr.<name>`; redirect's https_port falls back to the port that TLS listens on (APISIX: redirect). */
export function pluginAttributes(settings: Settings, name: string): Readonly<Record<string, unknown>> {
  const attributes = settings.pluginAttributes[name] ?? {};
  const tlsPort = settings.tls.enabled ? settings.tls.listen[0]?.port : undefined;
  if (name === 'redirect' && tlsPort !== undefined) return { https_port: tlsPort, ...attributes };
  return attributes;
}
