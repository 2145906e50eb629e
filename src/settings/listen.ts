/** The kinds that say where a socket listens and who may administer: `node_listen`, `ssl.listen`, `admin_listen`, `admin_key`. */
import { parseAddress } from '../address/parse-address.ts';
import { below, flag, integer, isMapping, oneOf, port, text, type Kind, type KindContext } from './kinds.ts';
import type { AdminKey } from './settings.ts';

/** One entry of a listen list; `http2` undefined: as the section says. */
export interface ListenEntry {
  readonly ip: string;
  readonly port: number;
  readonly http2: boolean | undefined;
}

/** A bare port in the file means all interfaces, as in APISIX; only the default is loopback. */
const everyInterface = '0.0.0.0';

export const address: Kind<string> = {
  name: 'address',
  parse(value, context) {
    const ip = text.parse(value, context);
    const bare = ip.startsWith('[') && ip.endsWith(']') ? ip.slice(1, -1) : ip;
    if (bare === 'localhost') return '127.0.0.1';
    if (parseAddress(bare, new Uint32Array(4)) === 0) context.refuse(`${JSON.stringify(ip)} is not an IP address`);
    return bare;
  },
};

/** A port, a list of ports, or a list of `{ip, port, enable_http2}`. */
export const listenList: Kind<readonly ListenEntry[]> = {
  name: 'port, or list of ports and {ip, port, enable_http2}',
  parse(value, context) {
    if (!Array.isArray(value)) return [parseListenEntry(value, context)];
    return value.map((item: unknown, index) => parseListenEntry(item, below(context, index)));
  },
};

function parseListenEntry(value: unknown, context: KindContext): ListenEntry {
  if (!isMapping(value)) return { ip: everyInterface, port: port.parse(value, context), http2: undefined };
  const entry = {
    ip: value['ip'] === undefined ? everyInterface : address.parse(value['ip'], below(context, 'ip')),
    port:
      value['port'] === undefined
        ? context.refuse('port is missing')
        : port.parse(value['port'], below(context, 'port')),
    http2:
      value['enable_http2'] === undefined
        ? undefined
        : flag.parse(value['enable_http2'], below(context, 'enable_http2')),
  };
  if (value['enable_http3'] === true) context.warn('HTTP/3 is not available', 'enable_http3');
  warnUnknown(value, ['ip', 'port', 'enable_http2', 'enable_http3'], context);
  return entry;
}

/** `{ip, port}`, each optional; a bare port; or `ip:port`. */
export const listenAddress: Kind<{ readonly ip: string | undefined; readonly port: number | undefined }> = {
  name: '{ip, port}',
  parse(value, context) {
    if (isMapping(value)) {
      warnUnknown(value, ['ip', 'port'], context);
      return {
        ip: value['ip'] === undefined ? undefined : address.parse(value['ip'], below(context, 'ip')),
        port: value['port'] === undefined ? undefined : port.parse(value['port'], below(context, 'port')),
      };
    }
    const match = typeof value === 'string' ? /^(.+):(\d+)$/.exec(value) : null;
    if (match === null) return { ip: undefined, port: port.parse(value, context) };
    return { ip: address.parse(match[1], context), port: port.parse(match[2], context) };
  },
};

/** The keys that APISIX once shipped; whoever still has one in their settings is told. */
const publishedKeys = new Set(['edd1c9f034335f136f87ad84b625c8f1', '4054f7cf07e344346cd3f287985e76a2']);

/** List of `{name, key, role}`. An empty key, as in APISIX's own default, counts as none. */
export const adminKeys: Kind<readonly AdminKey[]> = {
  name: 'list of {name, key, role}',
  parse(value, context) {
    if (value === null) return [];
    if (!Array.isArray(value)) return context.refuse('expected a list of {name, key, role}');
    const keys: AdminKey[] = [];
    for (const [index, item] of value.entries()) {
      const at = below(context, index);
      if (!isMapping(item)) return at.refuse('expected {name, key, role}');
      warnUnknown(item, ['name', 'key', 'role'], at);
      const role = oneOf('admin', 'viewer').parse(item['role'] ?? 'admin', below(at, 'role'));
      const name = text.parse(item['name'] ?? role, below(at, 'name'));
      const key = text.parse(item['key'] ?? '', below(at, 'key'));
      if (key === '') continue;
      if (keys.some((other) => other.key === key)) at.refuse('the same key stands in an earlier entry', 'key');
      if (keys.some((other) => other.name === name))
        at.warn(`another key is named ${name} too: the history cannot tell who of them changed something`, 'name');
      if (publishedKeys.has(key)) at.warn('this key is published in APISIX documentation: anyone can know it', 'key');
      keys.push({ name, key, role });
    }
    return keys;
  },
};

/** A number, or undefined for `auto`. */
export const workerCount: Kind<number | undefined> = {
  name: 'integer or auto',
  parse: (value, context) => (value === 'auto' ? undefined : integer(1, 1024).parse(value, context)),
};

function warnUnknown(value: Readonly<Record<string, unknown>>, known: readonly string[], context: KindContext): void {
  for (const name of Object.keys(value)) if (!known.includes(name)) context.warn('unknown setting, ignored', name);
}
