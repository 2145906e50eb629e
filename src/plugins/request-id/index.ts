/**
 * request-id: every request carries an id upstream and, if wanted, back to the client. An id that the client sent is
 * kept. Runs in `rewrite` before all other plugins, and in `header_filter`.
 * Ids come from the system's random source: UUID version 4 (RFC 9562 §5.4), nanoid's and segmentio/ksuid's forms.
 * APISIX: where the client sent several ids, the first is the one; APISIX fails.
 */
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { definePlugin } from '../../plugin/plugin.ts';

interface Config {
  header_name: string;
  include_in_response: boolean;
  algorithm: 'uuid' | 'nanoid' | 'range_id' | 'ksuid';
  range_id: { length: number; char_set: string };
}

interface State {
  readonly headerName: string;
  readonly includeInResponse: boolean;
  readonly generate: () => string;
  /** Two configurations may act on one request, each with its own header. */
  readonly contextKey: string;
}

// APISIX's default, in which `G` stands where `J` should.
const defaultCharacters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIGKLMNOPQRSTUVWXYZ0123456789';
const nanoidCharacters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-';
const base62Characters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Seconds from the Unix epoch to KSUID's, 2014-05-13T16:53:20Z. */
const ksuidEpoch = 1_400_000_000;

export const requestId = definePlugin<Config, State>({
  name: 'request-id',
  priority: 12015,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      header_name: {
        type: 'string',
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        default: 'X-Request-Id',
        description: 'Header that carries the id.',
      },
      include_in_response: { type: 'boolean', default: true, description: 'Send the id to the client as well.' },
      algorithm: {
        type: 'string',
        enum: ['uuid', 'nanoid', 'range_id', 'ksuid'],
        default: 'uuid',
        description:
          'uuid: random UUID; nanoid: 21 URL-safe characters; range_id: characters of a set; ksuid: sorts by second.',
      },
      range_id: {
        type: 'object',
        properties: {
          length: { type: 'integer', minimum: 6, default: 16, description: 'Number of characters.' },
          char_set: {
            type: 'string',
            minLength: 6,
            pattern: '^[!-~]*$',
            default: defaultCharacters,
            description: 'Characters to draw from.',
          },
        },
        default: { length: 16, char_set: defaultCharacters },
        description: 'Used with the algorithm range_id.',
      },
    },
  },

  compile(config) {
    return {
      headerName: config.header_name,
      includeInResponse: config.include_in_response,
      generate: generator(config),
      contextKey: `request-id:${config.header_name.toLowerCase()}`,
    };
  },

  rewrite(state, exchange) {
    let id = exchange.headers.get(state.headerName);
    if (id === undefined || id === '') {
      id = state.generate();
      exchange.headers.set(state.headerName, id);
    }
    if (state.includeInResponse) exchange.context.set(state.contextKey, id);
  },

  headerFilter(state, exchange) {
    const id = exchange.context.get(state.contextKey);
    if (typeof id !== 'string') return;
    const { headers } = exchange.response;
    const sent = headers.get(state.headerName);
    if (sent === undefined || sent === '') headers.set(state.headerName, id);
  },
});

function generator({ algorithm, range_id: range }: Config): () => string {
  switch (algorithm) {
    case 'uuid':
      return () => randomUUID();
    case 'nanoid':
      return () => draw(nanoidCharacters, 21);
    case 'range_id':
      return () => draw(range.char_set, range.length);
    case 'ksuid':
      return ksuid;
  }
}

/** `length` characters, each equally likely. */
function draw(characters: string, length: number): string {
  let id = '';
  // A byte modulo any other count than a power of two would favour the first characters.
  if ((characters.length & (characters.length - 1)) === 0 && characters.length <= 256) {
    for (const byte of randomBytes(length)) id += characters.charAt(byte & (characters.length - 1));
  } else {
    for (let i = 0; i < length; i++) id += characters.charAt(randomInt(characters.length));
  }
  return id;
}

/** 4 bytes of seconds, 16 random bytes, in base 62 as 27 characters. */
function ksuid(): string {
  const bytes = randomBytes(20);
  bytes.writeUInt32BE(Math.floor(Date.now() / 1000) - ksuidEpoch);
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let id = '';
  for (let i = 0; i < 27; i++) {
    id = base62Characters.charAt(Number(value % 62n)) + id;
    value /= 62n;
  }
  return id;
}
