/**
 * replace-text: replaces a text in response bodies while they stream, such as the name of an internal host by the public one. Nothing
 * is held back but the few bytes that may be the beginning of the text: a body of any size passes in constant memory.
 *
 *   "replace-text": { "search": "http://orders.internal", "replacement": "https://api.example.com" }
 */
import { definePlugin } from 'gatewright/plugin';

const name = 'replace-text';

export default definePlugin({
  name,
  priority: 900,
  schema: {
    type: 'object',
    properties: {
      search: { type: 'string', minLength: 1 },
      replacement: { type: 'string', default: '' },
      types: {
        type: 'array',
        items: { type: 'string' },
        default: ['text/', 'application/json'],
        description: 'Beginnings of the content types that are looked into.',
      },
    },
    required: ['search'],
    additionalProperties: false,
  },

  // Bytes are compared: as Latin-1 text one character is one byte, in whatever encoding the body is.
  compile: ({ search, replacement, types }) => ({ search: bytes(search), replacement: bytes(replacement), types }),

  rewrite(_state, exchange) {
    // A compressed body could not be read.
    exchange.headers.remove('Accept-Encoding');
  },

  headerFilter({ types }, exchange) {
    const { headers } = exchange.response;
    const type = headers.get('content-type') ?? '';
    if (headers.has('content-encoding') || !types.some((start) => type.startsWith(start))) return;
    // The tag is of the body that upstream sent.
    headers.remove('ETag');
    // What is kept from one phase of this exchange to the next, under the plugin's name.
    exchange.context.set(name, { held: '' });
  },

  bodyFilter({ search, replacement }, exchange, chunk, last) {
    const kept = exchange.context.get(name) as { held: string } | undefined;
    if (kept === undefined) return chunk;
    const text = kept.held + Buffer.from(chunk).toString('latin1');
    const pieces = text.split(search);
    // The end of the last piece may be the beginning of the text, whose rest comes with the next chunk.
    const end = pieces.at(-1) ?? '';
    const holds = last ? 0 : Math.min(end.length, search.length - 1);
    kept.held = end.slice(end.length - holds);
    pieces[pieces.length - 1] = end.slice(0, end.length - holds);
    return Buffer.from(pieces.join(replacement), 'latin1');
  },
});

function bytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}
