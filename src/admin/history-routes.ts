/**
 * `/apisix/admin/history`: who changed what and when, and the way back. A viewer may read it, without secrets.
 * APISIX: has none.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { PluginRegistry } from '../resources/plugin-check.ts';
import type { Json, JsonObject } from '../resources/resource.ts';
import type { HistoryEntry, Store, StoreHistory } from '../store/store.ts';
import { AdminError } from './admin-error.ts';
import { adminPrefix } from './answer.ts';
import { originOf } from './auth.ts';
import { changedFields, type ChangedField, type Side } from './field-diff.ts';
import { parseObject } from './json-body.ts';
import type { ListQuery } from './list.ts';
import { maskSecrets } from './masked-secrets.ts';
import { masking, type Masks } from './masking.ts';
import { parseStored } from './resource-index.ts';
import type { ResourceWriter } from './resource-writer.ts';

export interface HistoryDeps {
  readonly store: Store;
  readonly registry: PluginRegistry;
  readonly writer: ResourceWriter;
}

/** What one change did to one resource. */
export interface ShownChange {
  /** Key in the store: `routes/1`. */
  readonly resource: string;
  readonly change: 'created' | 'updated' | 'deleted';
  /** Of an update: the fields that differ, but for update_time. */
  readonly fields: readonly ChangedField[];
}

export interface ShownRevision {
  readonly revision: number;
  /** RFC 3339, in UTC. */
  readonly time: string;
  readonly who: string;
  readonly address: string | undefined;
  readonly action: string;
}

/** An entry of the list. */
export type ShownHistory = ShownRevision & ShownChange;

/** One revision whole; `before`, `after`: null where there was no resource. */
export type ShownCommit = ShownRevision & {
  readonly list: readonly (ShownChange & { readonly before: Json; readonly after: Json })[];
};

export interface ShownRollback {
  /** Of the change that was made; where none was, the store's. */
  readonly revision: number;
  readonly dry_run: boolean;
  readonly list: readonly ShownChange[];
}

const defaultPageSize = 50;
export const maxPageSize = 500;

export function registerHistoryRoutes(server: FastifyInstance, { store, registry, writer }: HistoryDeps): void {
  server.get(`${adminPrefix}/history`, async (request, reply) => {
    const masks = masking(request, registry);
    const query = request.query as ListQuery;
    const limit = wholeNumber('page_size', query['page_size'], 1, maxPageSize) ?? defaultPageSize;
    const page = wholeNumber('page', query['page'], 1, Number.MAX_SAFE_INTEGER) ?? 1;
    const { total, entries } = await historyOf(store).find({
      key: resourceKey(query['resource']),
      who: query['who'],
      revision: wholeNumber('revision', query['revision'], 0, Number.MAX_SAFE_INTEGER),
      since: instant('since', query['since']),
      until: instant('until', query['until']),
      limit,
      offset: Math.min((page - 1) * limit, Number.MAX_SAFE_INTEGER),
    });
    const list = entries.map((entry): ShownHistory => ({
      ...about(entry),
      ...shorten(shownChange(entry, masks).change),
    }));
    return reply.send({ total, list });
  });

  server.get(`${adminPrefix}/history/:revision`, async (request, reply) => {
    const masks = masking(request, registry);
    const revision = pathRevision(request);
    const { entries } = await historyOf(store).find({ revision, limit: Number.MAX_SAFE_INTEGER });
    const [first] = entries;
    if (first === undefined) throw new AdminError(404, `the history does not know revision ${String(revision)}`);
    const list = entries.map((entry) => {
      const { change, before, after } = shownChange(entry, masks);
      return { ...change, before: before ?? null, after: after ?? null };
    });
    return reply.send({ ...about(first), list } satisfies ShownCommit);
  });

  server.post(`${adminPrefix}/history/:revision/rollback`, async (request, reply) => {
    const masks = masking(request, registry);
    const revision = pathRevision(request);
    const { only, dryRun } = rollbackOptions(parseObject(request.body) ?? {});
    const options = { only, dryRun, ifMatch: request.headers['if-match'] };
    const done = await writer.rollback(revision, options, originOf(request, `rollback to ${String(revision)}`));
    const list = done.changes.map(({ key, before, after }) =>
      shorten(
        shownChange(
          { key, before: before?.value, after: after === undefined ? undefined : JSON.stringify(after) },
          masks,
        ).change,
      ),
    );
    return reply
      .header('etag', `"${String(done.revision)}"`)
      .send({ revision: done.revision, dry_run: dryRun, list } satisfies ShownRollback);
  });
}

function historyOf(store: Store): StoreHistory {
  if (store.history !== undefined) return store.history;
  throw new AdminError(405, 'no history is kept (gatewright.history.entries)');
}

function about({ revision, time, who, address, action }: HistoryEntry): ShownRevision {
  return { revision, time: new Date(time).toISOString(), who, address, action };
}

function shownChange(
  { key, before, after }: Pick<HistoryEntry, 'key' | 'before' | 'after'>,
  masks: Masks,
): { change: ShownChange; before: JsonObject | undefined; after: JsonObject | undefined } {
  const [one, other] = [sideOf(key, before, masks), sideOf(key, after, masks)];
  const change = {
    resource: key,
    change: one === undefined ? 'created' : other === undefined ? 'deleted' : 'updated',
    fields: one === undefined || other === undefined ? [] : changedFields(one, other),
  } as const;
  return { change, before: one?.shown, after: other?.shown };
}

function sideOf(key: string, text: string | undefined, masks: Masks): Side | undefined {
  if (text === undefined) return undefined;
  const value = parseStored(text) ?? {};
  if (masks === undefined) return { value, shown: value };
  const shown = structuredClone(value);
  maskSecrets(key, shown, masks);
  return { value, shown };
}

/** A list is for looking through: long values are cut off there. */
const shownCharacters = 200;

function shorten(change: ShownChange): ShownChange {
  const cut = (value: Json | undefined): Json | undefined => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return value === undefined || text.length <= shownCharacters ? value : `${text.slice(0, shownCharacters)}…`;
  };
  return { ...change, fields: change.fields.map(({ path, from, to }) => ({ path, from: cut(from), to: cut(to) })) };
}

function rollbackOptions(body: JsonObject): { only: string[]; dryRun: boolean } {
  const { resources = [], dry_run: dryRun = false, ...rest } = body;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw new AdminError(400, `invalid request body: unknown field ${JSON.stringify(unknown)}`);
  if (typeof dryRun !== 'boolean') throw new AdminError(400, 'invalid request body: dry_run is true or false');
  if (!Array.isArray(resources)) throw new AdminError(400, 'invalid request body: resources is a list of keys');
  const only = resources.map((key) => (typeof key === 'string' ? resourceKey(key) : undefined));
  if (!only.every((key) => key !== undefined))
    throw new AdminError(400, 'invalid request body: resources is a list of keys such as routes/1');
  return { only, dryRun };
}

/** `routes/1`, `routes`; as answers show it, `/apisix/routes/1`, too. */
function resourceKey(text: string | undefined): string | undefined {
  const key = text?.replace(/^\/apisix\//, '').replace(/\/$/, '');
  return key === '' ? undefined : key;
}

function pathRevision(request: FastifyRequest): number {
  const text = (request.params as { revision: string }).revision;
  return wholeNumber('revision', text, 0, Number.MAX_SAFE_INTEGER) ?? 0;
}

function wholeNumber(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${String(least)}` : `from ${String(least)} to ${String(most)}`;
  throw new AdminError(400, `invalid argument ${name}: expected a whole number ${range}`);
}

/** Seconds since the epoch, or a date as JavaScript reads it; → milliseconds. */
function instant(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (!Number.isNaN(value)) return value;
  throw new AdminError(400, `invalid argument ${name}: expected a date such as 2026-01-31T12:00:00Z, or seconds`);
}
