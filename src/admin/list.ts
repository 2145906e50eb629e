/** Filters and paging of a list (APISIX: admin-api, "Using the API with paging", "Filtering query"). */
import { AdminError } from './admin-error.ts';
import type { ShownEntry } from './answer.ts';

export type ListQuery = Readonly<Record<string, string | undefined>>;

/**
 * `entries`: all of one kind. `total` counts what the filters let through; one page of it where both `page` and
 * `page_size` (10 to 500) are given, in order of creation. Throws AdminError 400.
 */
export function listPage(entries: readonly ShownEntry[], query: ListQuery): { total: number; list: ShownEntry[] } {
  const filters = compileFilters(query);
  const list = entries.filter((entry) => filters.every((keeps) => keeps(entry)));
  const total = list.length;
  const size = count(query['page_size']);
  const page = count(query['page']);
  if (size === undefined || page === undefined) return { total, list };
  if (size < 10 || size > 500) throw new AdminError(400, 'page_size must be between 10 and 500');
  list.sort((a, b) => a.createdIndex - b.createdIndex);
  const from = (Math.max(page, 1) - 1) * size;
  return { total, list: list.slice(from, from + size) };
}

function compileFilters(query: ListQuery): ((entry: ShownEntry) => boolean)[] {
  const filters: ((entry: ShownEntry) => boolean)[] = [];
  const { name, label, uri } = query;
  if (name !== undefined) {
    const pattern = compilePattern('name', name);
    filters.push(({ value }) => matches(pattern, value['name'] ?? value['username']));
  }
  if (label !== undefined) {
    filters.push(({ value }) => {
      const labels = value['labels'];
      return typeof labels === 'object' && labels !== null && Object.hasOwn(labels, label);
    });
  }
  if (uri !== undefined) {
    const pattern = compilePattern('uri', uri);
    filters.push(({ value }) => [value['uri'], value['uris']].flat().some((candidate) => matches(pattern, candidate)));
  }
  // `filter=service_id%3D1%26upstream_id%3D2`
  for (const [field, wanted] of new URLSearchParams(query['filter'] ?? '')) {
    if (field !== 'service_id' && field !== 'upstream_id') continue;
    filters.push(({ value }) => {
      const id = value[field];
      return (typeof id === 'string' || typeof id === 'number') && String(id) === wanted;
    });
  }
  return filters;
}

function compilePattern(name: string, source: string): RegExp {
  try {
    return new RegExp(source);
  } catch {
    throw new AdminError(400, `invalid argument ${name}: it is not a regular expression`);
  }
}

function matches(pattern: RegExp, text: unknown): boolean {
  return typeof text === 'string' && pattern.test(text);
}

function count(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  return Number.isInteger(value) ? value : undefined;
}
