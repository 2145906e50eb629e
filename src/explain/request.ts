/** The command line of `gatewright explain`, in curl's words: `[METHOD] URL [-X METHOD] [-H 'Name: value']... [--from ADDRESS]`. */
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import type { ExplainRequest } from './report.ts';

/** `argv`: what follows the command's name. Throws TypeError with a sentence for whoever typed it. */
export function parseExplainArguments(argv: string[]): ExplainRequest {
  const { values, positionals } = parseArgs({
    args: argv,
    options: {
      request: { type: 'string', short: 'X' },
      header: { type: 'string', short: 'H', multiple: true },
      from: { type: 'string' },
    },
    allowPositionals: true,
    strict: true,
  });
  const [first, second] = positionals;
  if (first === undefined) throw new TypeError('explain needs a URL: gatewright explain GET http://host/path');
  if (positionals.length > 2) throw new TypeError(`explain takes one URL; what is ${positionals.slice(2).join(' ')}?`);
  const { from } = values;
  if (from !== undefined && isIP(from) === 0) throw new TypeError(`--from ${from} is not an IP address`);
  return {
    method: values.request ?? (second === undefined ? 'GET' : first),
    url: absolute(second ?? first),
    headers: (values.header ?? []).map(parseHeader),
    ...(from === undefined ? {} : { remoteAddress: from }),
  };
}

/** As curl does: `http` where no scheme is given. */
function absolute(url: string): string {
  if (/^https?:\/\//i.test(url)) return url;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) throw new TypeError(`${url}: only http and https are explained`);
  return `http://${url}`;
}

function parseHeader(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(':');
  // The text may hold a credential; it is not repeated.
  if (colon <= 0) throw new TypeError("-H wants 'Name: value'");
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}
