/** The plugins that the settings enable, the same in the control plane and in every worker. */
import type { AnyPlugin } from './plugin/plugin.ts';
import type { ChangingRegistry } from './plugin-files/plugin-files.ts';
import { builtInPlugins, createRegistry } from './plugins/registry.ts';
import { enabledPlugins } from './settings/enabled-plugins.ts';
import type { Settings } from './settings/settings.ts';

/**
 * The built-in ones; those of plugin files are put in as they are loaded. `missing`: listed in the settings, and nothing built in
 * bears the name.
 */
export function createEnabledRegistry(settings: Settings): { registry: ChangingRegistry; missing: readonly string[] } {
  const { enabled, missing } = enabledPlugins(
    settings.plugins,
    builtInPlugins.map((plugin) => plugin.name),
  );
  const added = new Map<string, AnyPlugin>();
  const build = () => createRegistry([...enabled, ...added.keys()], [...added.values()]);
  let current = build();
  const registry: ChangingRegistry = {
    get: (name) => current.get(name),
    list: () => current.list(),
    all: () => current.all(),
    http: current.http,
    unknown: missing,
    put(plugin) {
      added.set(plugin.name, plugin);
      current = build();
    },
    remove(name) {
      if (added.delete(name)) current = build();
    },
    isBuiltIn: (name) => builtInPlugins.some((plugin) => plugin.name === name),
  };
  return { registry, missing };
}

/**
 * `plugin_attr.<name>`; redirect's https_port falls back to the port that TLS listens on (APISIX: redirect), and whether configurations
 * may hold code is said by its own setting alone.
 */
export function pluginAttributes(settings: Settings, name: string): Readonly<Record<string, unknown>> {
  const attributes = settings.pluginAttributes[name] ?? {};
  const tlsPort = settings.tls.enabled ? settings.tls.listen[0]?.port : undefined;
  if (name === 'redirect' && tlsPort !== undefined) return { https_port: tlsPort, ...attributes };
  if (name.startsWith('serverless-')) return { ...attributes, code_in_config: settings.codeInConfig };
  return attributes;
}
