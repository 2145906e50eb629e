/**
 * Loaded into the processes that test plugins: `gatewright/plugin` is the gateway whose command it is, installed beside the plugins or
 * not, and plugins are ES modules whatever a package.json says, as `plugin_dirs` has it.
 */
import { registerHooks } from 'node:module';

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const own = new Map([
  ['gatewright/plugin', new URL(`../plugin/index.${extension}`, import.meta.url).href],
  ['gatewright/plugin/testing', new URL(`../plugin-kit/index.${extension}`, import.meta.url).href],
]);

registerHooks({
  resolve(specifier, context, next) {
    const url = own.get(specifier);
    if (url !== undefined) return { url, shortCircuit: true };
    const resolved = next(specifier, context);
    const [, suffix] = /^file:(?!.*\/node_modules\/).*\.([jt]s)$/.exec(resolved.url) ?? [];
    if (suffix === undefined) return resolved;
    return { ...resolved, format: suffix === 'ts' ? 'module-typescript' : 'module' };
  },
});
