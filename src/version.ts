/** The version of this package, and the product token of the Server field. */
import { readFileSync } from 'node:fs';

export const version = readVersion();

/** `tokens` false: the product's name alone. */
export function serverToken(tokens: boolean): string {
  return tokens ? `Gatewright/${version}` : 'Gatewright';
}

/** package.json stands one directory up from `src/` in the tree, two from `dist/src/` in the package. */
function readVersion(): string {
  for (const candidate of ['../package.json', '../../package.json']) {
    try {
      const parsed = JSON.parse(readFileSync(new URL(candidate, import.meta.url), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (parsed.name === 'gatewright' && parsed.version !== undefined) return parsed.version;
    } catch {
      // Not here.
    }
  }
  return '0.0.0';
}
