/** Keeps credentials out of a report. Names are shown; of values, only those that no credential can stand in. */
import type { ExplainMiss } from './report.ts';

const mask = '***';

/** Any parameter may be the one that a plugin reads its key from: all values are masked. */
export function maskQuery(query: string): string {
  return query
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=');
      return equals < 0 || equals === pair.length - 1 ? pair : `${pair.slice(0, equals)}=${mask}`;
    })
    .join('&');
}

/** A route's `vars` may compare a header, a cookie or a parameter with a secret. */
export function maskMiss(miss: ExplainMiss): ExplainMiss {
  if (miss.reason !== 'vars') return miss;
  const detail = miss.detail.replace(
    /(\["(?:http|cookie|arg|post_arg)[_.][^"]*",)((?:"[^"]*",)*)("(?:[^"\\]|\\.)*"|\[[^\]]*\])\]/g,
    (_, name: string, operators: string) => `${name}${operators}"${mask}"]`,
  );
  return { ...miss, detail };
}
