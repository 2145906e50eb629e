import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { TextEntry } from '../../src/plugin/runners/runners.ts';
import {
  decodeInformation,
  decodePrepareConf as readPrepareConf,
  decodeRequestCall,
  decodeResponseCall,
  encodeError,
  encodeQuestion,
  encodeRequestVerdict,
  encodeResponseVerdict,
  encodeToken,
} from '../../runners/node/messages.ts';
import { createRandom } from '../../src/random.fixture.ts';
import { stop } from './runner-messages.ts';
import { FrameReader } from '../../src/runners/wire/frame-reader.ts';
import {
  decodeError,
  decodeExtraInfo,
  decodeHttpReqCall,
  decodeHttpRespCall,
  decodePrepareConf,
  encodeExtraInfo,
  encodeHttpReqCall,
  encodeHttpRespCall,
  encodePrepareConf,
  methodCode,
  type HttpReqCallAnswer,
  type HttpRespCallAnswer,
} from '../../src/runners/wire/messages.ts';
import { RpcType, type ExtraInfoQuestion } from '../../src/runners/wire/schema.ts';
import { ProtocolError } from '../../src/runners/wire/reader.ts';
import { FrameTooLarge, FrameWriter, maxPayloadBytes } from '../../src/runners/wire/writer.ts';

type Pairs = readonly (readonly [string, string | null])[];
type Reader = (payload: Buffer) => unknown;
interface Meaning {
  readonly message: string;
  readonly [field: string]: unknown;
}
interface Vector {
  readonly name: string;
  readonly from: 'gateway' | 'runner';
  readonly type: number;
  readonly hex: string;
  readonly means: Meaning;
}

const folder = new URL('../vectors/ext-plugin/', import.meta.url);
const { vectors } = JSON.parse(readFileSync(new URL('frames.json', folder), 'utf8')) as { vectors: Vector[] };
const { frames } = JSON.parse(readFileSync(new URL('malformed.json', folder), 'utf8')) as {
  frames: { name: string; type: number; hex: string }[];
};

/** UTF-8 text of the vectors as the wire's bytes. */
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const entries = (pairs: unknown): TextEntry[] =>
  ((pairs ?? []) as Pairs).map(([name, value]) => [bytes(name), value === null ? undefined : bytes(value)]);
const hex = (text: unknown): Buffer | undefined =>
  text === undefined ? undefined : Buffer.from(text as string, 'hex');

function payloadOf(frame: string, type: number): Buffer {
  const reader = new FrameReader();
  reader.push(Buffer.from(frame, 'hex'));
  const read = reader.next();
  assert.equal(read?.type, type);
  assert.equal(reader.pending, 0);
  return read.payload;
}

/** What a runner's frame is decoded to, and what its meaning stands for. */
const decoders: Readonly<Record<string, (payload: Buffer, means: Meaning) => readonly [unknown, unknown]>> = {
  'PrepareConf.Resp': (payload, means) => [decodePrepareConf(payload), means['conf_token']],
  'Err.Resp': (payload, means) => [
    decodeError(payload),
    ['BAD_REQUEST', 'SERVICE_UNAVAILABLE', 'CONF_TOKEN_NOT_FOUND'].indexOf(means['code'] as string),
  ],
  'ExtraInfo.Req': (payload, means) => [
    decodeExtraInfo(payload),
    means['info'] === 'var'
      ? { info: 'variable', name: means['name'] }
      : { info: means['info'] === 'req_body' ? 'request-body' : 'response-body' },
  ],
  'HTTPRespCall.Resp': (payload, means) => [
    decodeHttpRespCall(payload),
    { id: means['id'], status: means['status'], headers: entries(means['headers']), body: hex(means['body_hex']) },
  ],
  'HTTPReqCall.Resp': (payload, means) => [
    decodeHttpReqCall(payload),
    means['action'] === 'none'
      ? { id: means['id'], action: 'none' }
      : means['action'] === 'stop'
        ? {
            id: means['id'],
            action: 'stop',
            status: means['status'],
            headers: entries(means['headers']),
            body: hex(means['body_hex']),
          }
        : {
            id: means['id'],
            action: 'rewrite',
            path: means['path'],
            headers: entries(means['headers']),
            args: entries(means['args']),
            responseHeaders: entries(means['resp_headers']),
            body: hex(means['body_hex']),
          },
  ],
};

/** A gateway's message: what its meaning stands for, how ours is made of it, and how a runner reads it. */
const speakers: Readonly<Record<string, (means: Meaning) => readonly [own: Buffer, read: Reader, expected: unknown]>> =
  {
    'PrepareConf.Req': (means) => {
      const call = { conf: entries(means['conf']), key: (means['key'] ?? '') as string };
      return [encodePrepareConf(new FrameWriter(), call.conf, call.key), readPrepareConf, call];
    },
    'HTTPReqCall.Req': (means) => {
      const call = {
        id: means['id'] as number,
        sourceAddress: hex(means['src_ip_hex']) ?? Buffer.alloc(0),
        method: means['method'] as string,
        path: bytes(means['path'] as string),
        args: entries(means['args']),
        headers: entries(means['headers']),
        confToken: means['conf_token'] as number,
      };
      const own = encodeHttpReqCall(new FrameWriter(), { ...call, method: methodCode(call.method) ?? -1 });
      return [own, decodeRequestCall, call];
    },
    'HTTPRespCall.Req': (means) => {
      const call = {
        id: means['id'] as number,
        status: means['status'] as number,
        headers: entries(means['headers']),
        confToken: means['conf_token'] as number,
      };
      return [encodeHttpRespCall(new FrameWriter(), call), decodeResponseCall, call];
    },
    'ExtraInfo.Resp': (means) => {
      const result = hex(means['result_hex']);
      return [encodeExtraInfo(new FrameWriter(), result), decodeInformation, result];
    },
  };

/** What a runner says, once more by our own runner's half. */
const answers: Readonly<Record<string, (read: never) => Buffer>> = {
  'PrepareConf.Resp': (token: number) => encodeToken(new FrameWriter(), token),
  'Err.Resp': (code: number) => encodeError(new FrameWriter(), code),
  'ExtraInfo.Req': (question: ExtraInfoQuestion) => encodeQuestion(new FrameWriter(), question),
  'HTTPReqCall.Resp': ({ id, ...verdict }: HttpReqCallAnswer) => encodeRequestVerdict(new FrameWriter(), id, verdict),
  'HTTPRespCall.Resp': ({ id, ...verdict }: HttpRespCallAnswer) =>
    encodeResponseVerdict(new FrameWriter(), id, verdict),
};

describe('frames that the official library wrote', () => {
  for (const { name, from, type, hex: frame, means } of vectors) {
    it(`${from}: ${name}`, () => {
      const payload = payloadOf(frame, type);
      if (from === 'runner') {
        const [read, expected] = decoders[means.message]?.(payload, means) ?? assert.fail(means.message);
        assert.deepEqual(read, expected);
        const own = answers[means.message]?.(expected as never) ?? assert.fail(means.message);
        assert.deepEqual(decoders[means.message]?.(payloadOf(own.toString('hex'), type), means)[0], expected);
      } else {
        const [own, read, expected] = speakers[means.message]?.(means) ?? assert.fail(means.message);
        assert.deepEqual(read(payload), expected);
        assert.deepEqual(read(payloadOf(own.toString('hex'), type)), expected);
      }
    });
  }
});

describe('frames that no runner may send', () => {
  const decode = new Map<number, (payload: Buffer) => unknown>([
    [RpcType.error, decodeError],
    [RpcType.prepareConf, decodePrepareConf],
    [RpcType.httpReqCall, decodeHttpReqCall],
    [RpcType.extraInfo, decodeExtraInfo],
    [RpcType.httpRespCall, decodeHttpRespCall],
  ]);
  for (const { name, type, hex: frame } of frames) {
    it(`refuses ${name}`, () => {
      assert.throws(() => decode.get(type)?.(payloadOf(frame, type)), ProtocolError);
    });
  }

  it('refuses a payload whose entries all point at one long text: it would unfold to gigabytes', () => {
    const one = stop(1, { headers: [['x'.repeat(60_000), 'y'.repeat(60_000)]] });
    // The list is written last of all, 50,000 entries long, each pointing at the one that is there.
    const { payload } = splice(one);
    assert.throws(() => decodeHttpReqCall(payload), /unfolds to more than it holds/);
  });

  it('reads any damaged frame or says ProtocolError, and ends', (t) => {
    const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
    t.diagnostic(`FUZZ_SEED=${String(seed)}`);
    const random = createRandom(seed);
    const samples = vectors.filter(({ from }) => from === 'runner').map((vector) => payloadOf(vector.hex, vector.type));
    for (let round = 0; round < 30_000; round++) {
      const sample = Buffer.from(random.pick(samples));
      const hits = 1 + random.int(4);
      for (let i = 0; i < hits && sample.length > 0; i++) sample[random.int(sample.length)] = random.int(256);
      const cut = random.int(5) === 0 ? sample.subarray(0, random.int(sample.length)) : sample;
      for (const read of decode.values()) {
        try {
          read(cut);
        } catch (error) {
          assert.ok(error instanceof ProtocolError, `${String(error)} (seed ${String(seed)}, ${cut.toString('hex')})`);
        }
      }
    }
  });
});

describe('FrameWriter', () => {
  it('refuses a message that three bytes of length cannot tell', () => {
    const body = Buffer.alloc(maxPayloadBytes);
    assert.throws(() => encodeExtraInfo(new FrameWriter(), body), FrameTooLarge);
    const fits = encodeExtraInfo(new FrameWriter(), body.subarray(64));
    assert.equal(fits.length, 4 + fits.readUIntBE(1, 3));
  });
  it('keeps the bytes of a value that is no UTF-8', () => {
    const value = '\xff\xfe\x80é';
    const frame = encodeHttpRespCall(new FrameWriter(), { id: 1, status: 200, headers: [['x', value]], confToken: 1 });
    assert.deepEqual(decodeResponseCall(frame.subarray(4)).headers, [['x', value]]);
    assert.ok(frame.includes(Buffer.from(value, 'latin1')));
  });
});

describe('FrameReader', () => {
  it('puts a frame together from single bytes, and keeps what follows it', () => {
    const first = vectors[0]?.hex ?? '';
    const reader = new FrameReader();
    const stream = Buffer.from(`${first}${first}`, 'hex');
    const read: Buffer[] = [];
    for (const byte of stream) {
      reader.push(Buffer.of(byte));
      const frame = reader.next();
      if (frame !== undefined) read.push(frame.payload);
    }
    assert.deepEqual(read, [payloadOf(first, 1), payloadOf(first, 1)]);
    assert.equal(reader.pending, 0);
  });
  it('takes no memory for what is only announced', () => {
    const reader = new FrameReader();
    reader.push(Buffer.from('02ffffff00', 'hex'));
    assert.equal(reader.next(), undefined);
    assert.equal(reader.pending, 5);
  });
});

/** A Stop whose list of headers is replaced by 50,000 pointers at its only entry. */
function splice(frame: Buffer): { payload: Buffer } {
  const payload = Buffer.from(frame.subarray(4));
  const count = 50_000;
  // The list's length field is the first u32 of value 1 that is followed by an offset to the entry's table.
  const root = payload.readUInt32LE(0);
  const action = root + 12 + payload.readUInt32LE(root + 12);
  const headersField = action + 8;
  const list = headersField + payload.readUInt32LE(headersField);
  assert.equal(payload.readUInt32LE(list), 1);
  const entry = list + 4 + payload.readUInt32LE(list + 4);
  // A table may only be pointed at forwards: the copy of the entry goes behind the list.
  const tail = payload.subarray(entry - 8);
  const grown = Buffer.alloc(payload.length + 4 + 4 * count + tail.length);
  payload.copy(grown);
  const newList = payload.length;
  grown.writeUInt32LE(newList - headersField, headersField);
  grown.writeUInt32LE(count, newList);
  const newEntry = newList + 4 + 4 * count + 8;
  tail.copy(grown, newList + 4 + 4 * count);
  for (let i = 0; i < count; i++) grown.writeUInt32LE(newEntry - (newList + 4 + 4 * i), newList + 4 + 4 * i);
  return { payload: grown };
}
