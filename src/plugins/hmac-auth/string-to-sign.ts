/**
 * What an hmac-auth signature covers: the key id, then one line for each header that the client lists, each ended by LF.
 *
 *   jack-key
 *   GET /get?a=1
 *   date: Tue, 19 Jan 2038 03:14:07 GMT
 */
import { hash } from 'node:crypto';
import type { Exchange } from '../../plugin/exchange.ts';

export const requestTarget = '@request-target';

/** Latin-1 text, as header values are; undefined names in `missing` what the request does not have. */
export function stringToSign(
  exchange: Exchange,
  keyId: string,
  headers: readonly string[],
): { text: string } | { missing: string } {
  let text = `${keyId}\n`;
  for (const name of headers) {
    if (name === requestTarget) text += `${exchange.method} ${originForm(exchange.target)}\n`;
    else {
      const values = exchange.headers.getAll(name);
      if (values.length === 0) return { missing: name };
      text += `${name}: ${values.join(', ')}\n`;
    }
  }
  return { text };
}

/** RFC 9112 §3.2.2: a client may send the whole URL; what it signs is path and query. */
function originForm(target: string): string {
  return target.startsWith('/') ? target : target.replace(/^[a-z]+:\/\/[^/?]*/i, '');
}

const sensitive = /^(?:proxy-)?authorization$|cookie|key|token|secret|password/i;

/**
 * The same for an operator's eyes: no value of a query parameter or of a header that may hold a credential. The digest is
 * of the unmasked string: a client that made another string gets another digest.
 */
export function describeStringToSign(text: string, headers: readonly string[]): string {
  const [keyId = '', ...lines] = text.split('\n').slice(0, -1);
  const masked = lines.map((line, i) => {
    const name = headers[i] ?? '';
    if (name === requestTarget) return line.replaceAll(/=[^&]+/g, '=***');
    return sensitive.test(name) ? `${name}: ***` : line;
  });
  const shown = JSON.stringify(`${[keyId, ...masked].join('\n')}\n`);
  return `string to sign: ${shown}, its SHA-256: ${hash('sha256', Buffer.from(text, 'latin1'), 'hex')}`;
}
