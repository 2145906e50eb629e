/**
 * Imports packages and modules of Node.js as Node.js does for a file that stands elsewhere: with that file as the parent.
 * `gatewright/plugin` is this gateway's own, for the plugin's files and for packages that they use.
 */
import { registerHooks } from 'node:module';

type Namespace = Record<string, unknown>;

const scheme = 'gatewright-import:';
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const pluginUrl = new URL(`../plugin/index.${extension}`, import.meta.url).href;
let hooked = false;

/** `parent`: URL of the file that imports. What is imported stays in Node.js' module map. */
export function importPackage(specifier: string, parent: string): Promise<Namespace> {
  hook();
  return import(`${scheme}${encodeURIComponent(specifier)}?${encodeURIComponent(parent)}`) as Promise<Namespace>;
}

/** In this thread, once, and only where a plugin's file is loaded. */
function hook(): void {
  if (hooked) return;
  hooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === 'gatewright/plugin') return { url: pluginUrl, shortCircuit: true };
      if (!specifier.startsWith(scheme)) return next(specifier, context);
      const [asked = '', parentURL = ''] = specifier.slice(scheme.length).split('?').map(decodeURIComponent);
      if (asked === 'gatewright/plugin') return { url: pluginUrl, shortCircuit: true };
      return next(asked, { ...context, parentURL });
    },
  });
}
