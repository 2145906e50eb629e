/**
 * The two spellings of a reference (APISIX: terminology/secret):
 *   $env://NAME[/KEY]                     an environment variable, or a member of the JSON object in it
 *   $secret://MANAGER/ID/PATH…/KEY        member KEY of the secret at PATH, read through the resource `secrets/MANAGER/ID`
 * APISIX: only `$ENV` may be in either case; here both may, since a reference that is taken for text is a public key.
 */

export interface Reference {
  /** What is read as one: `env/NAME`, `vault/1/path/of/secret`. */
  readonly source: string;
  /** `vault/1`; undefined: the environment. */
  readonly manager: string | undefined;
  /** The variable's name, or the path at the manager. */
  readonly path: string;
  /** Member of the object there; undefined: the whole (environment only). */
  readonly key: string | undefined;
}

const env = /^\$env:\/\/([^/]+)(?:\/(.+))?$/i;
const secret = /^\$secret:\/\/([^/]+)\/([^/]+)\/(.+)\/([^/]+)$/i;

/** undefined: malformed, or no reference. */
export function parseReference(text: string): Reference | undefined {
  const variable = env.exec(text);
  if (variable !== null) {
    const [, name = '', key] = variable;
    return { source: `env/${name}`, manager: undefined, path: name, key };
  }
  const [, manager, id, path, key] = secret.exec(text) ?? [];
  if (manager === undefined || id === undefined || path === undefined || key === undefined) return undefined;
  // A path is put into a URL: dot segments would lead out of the manager's prefix.
  if (path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..')) return undefined;
  return { source: `${manager}/${id}/${path}`, manager: `${manager}/${id}`, path, key };
}
