/** The control API (APISIX: control-api): what this gateway serves, the health of its upstreams, and explain. Loopback by default; no secrets. */
import type { Server } from 'node:http';
import type { ExplainReport, ExplainRequest } from '../explain/report.ts';
import type { PluginRegistry } from '../plugins/registry.ts';
import { answerHealthcheck } from '../proxy/upstream/health/control-api.ts';
import type { HealthMonitor } from '../proxy/upstream/health/health-monitor.ts';
import type { JsonObject } from '../resources/resource.ts';
import { resourceSchemas } from '../resources/schemas.ts';
import { mapSecrets, mask } from '../resources/secret-fields.ts';
import type { Entry, Store } from '../store/store.ts';
import { createJsonServer, type JsonAnswer } from './json-server.ts';

export interface ControlDeps {
  /** undefined: the settings name no directory of plugin files. */
  readonly pluginFiles?: { status(): readonly object[]; reload(): Promise<void> } | undefined;
  readonly store: Store;
  readonly registry: PluginRegistry;
  readonly monitor: HealthMonitor;
  readonly workers: {
    explain(request: ExplainRequest): Promise<ExplainReport>;
    readonly served: { revision: number; workers: { number: number; revision: number }[] };
  };
}

/** Singular and plural of what can be listed. */
const kinds = new Map([
  ['routes', 'route'],
  ['services', 'service'],
  ['upstreams', 'upstream'],
  ['plugin_metadatas', 'plugin_metadata'],
]);

export function createControlServer(deps: ControlDeps): Server {
  return createJsonServer(async (method, segments, readBody) => {
    const [api, what = '', ...rest] = segments;
    if (api !== 'v1') return undefined;
    if (method === 'POST' && what === 'explain') return explain(deps, await readBody());
    if (what === 'plugins') return plugins(deps, method, rest);
    if (method !== 'GET') return undefined;
    if (what === 'schema') return { status: 200, body: schemas(deps.registry) };
    if (what === 'served') return { status: 200, body: deps.workers.served };
    if (what === 'healthcheck') {
      const [kind = '', id = ''] = rest;
      const exists = kind !== '' && (await deps.store.get(`${kind}/${id}`)) !== undefined;
      return answerHealthcheck(deps.monitor, rest, () => exists);
    }
    return list(deps, what, rest);
  });
}

/** `GET /v1/plugins/files`; `PUT /v1/plugins/reload` (APISIX: control-api) looks at them again. */
async function plugins(
  { pluginFiles }: ControlDeps,
  method: string,
  [what]: readonly string[],
): Promise<JsonAnswer | undefined> {
  if (method === 'GET' && what === 'files') return { status: 200, body: pluginFiles?.status() ?? [] };
  if (method !== 'PUT' || what !== 'reload') return undefined;
  await pluginFiles?.reload();
  return { status: 200, body: 'done', contentType: 'text/plain' };
}

async function list(
  { store, registry }: ControlDeps,
  what: string,
  rest: readonly string[],
): Promise<JsonAnswer | undefined> {
  const directory = (singular: string): string => (singular === 'plugin_metadata' ? singular : `${singular}s`);
  const plural = kinds.get(what);
  if (plural !== undefined && rest.length === 0) {
    const { entries } = await store.list(`${directory(plural)}/`);
    return { status: 200, body: entries.map((entry) => describe(entry, registry)) };
  }
  const [id] = rest;
  if (id === undefined || rest.length > 1 || ![...kinds.values()].includes(what)) return undefined;
  const entry = await store.get(`${directory(what)}/${id}`);
  return entry === undefined
    ? { status: 404, body: { error_msg: `${what} not found` } }
    : { status: 200, body: describe(entry, registry) };
}

/** As APISIX answers: plugin metadata bare with its id, everything else with its key and indices. */
function describe(entry: Entry, registry: PluginRegistry): object {
  const value = JSON.parse(entry.value) as JsonObject;
  mapSecrets(entry.key, value, registry, 'all', () => mask);
  if (entry.key.startsWith('plugin_metadata/')) return { ...value, id: entry.key.slice('plugin_metadata/'.length) };
  return {
    key: `/apisix/${entry.key}`,
    value,
    createdIndex: entry.createdIndex,
    modifiedIndex: entry.modifiedIndex,
  };
}

/** Resources under their singular (`route`, `consumer_group`), as APISIX has them. */
function schemas(registry: PluginRegistry): object {
  return {
    main: Object.fromEntries(Object.entries(resourceSchemas).map(([kind, schema]) => [kind.slice(0, -1), schema])),
    plugins: Object.fromEntries(
      registry.list().map(({ name, priority, version, type, schema, consumerSchema, metadataSchema }) => [
        name,
        {
          priority,
          version: version ?? '0.1',
          type,
          schema,
          consumer_schema: consumerSchema,
          metadata_schema: metadataSchema,
        },
      ]),
    ),
  };
}

async function explain(deps: ControlDeps, text: string): Promise<JsonAnswer> {
  let request;
  try {
    request = parseRequest(JSON.parse(text));
  } catch (error) {
    return {
      status: 400,
      body: { error_msg: `invalid explain request: ${error instanceof Error ? error.message : String(error)}` },
    };
  }
  return { status: 200, body: await deps.workers.explain(request) };
}

function parseRequest(value: unknown): ExplainRequest {
  const { method = 'GET', url, headers = [], remoteAddress } = (value ?? {}) as Partial<Record<string, unknown>>;
  if (typeof method !== 'string') throw new TypeError('method: expected a string');
  if (typeof url !== 'string' || !URL.canParse(url)) throw new TypeError('url: expected an absolute URL');
  if (remoteAddress !== undefined && typeof remoteAddress !== 'string')
    throw new TypeError('remoteAddress: expected a string');
  const isPair = (item: unknown): item is [string, string] =>
    Array.isArray(item) && item.length === 2 && item.every((part) => typeof part === 'string');
  if (!Array.isArray(headers) || !headers.every(isPair))
    throw new TypeError('headers: expected a list of [name, value]');
  return { method, url, headers, ...(remoteAddress === undefined ? {} : { remoteAddress }) };
}
