/**
 * The runner's half of the external-plugin protocol: what a gateway sends, decoded; what a runner answers, encoded. The gateway's half,
 * and the layout of the tables, are in `src/runners/wire/`. Text is Latin-1: each character a byte on the wire.
 */
import type { TextEntry } from '../../src/plugin/runners/runners.ts';
import { RpcType } from '../../src/runners/wire/messages.ts';
import { PayloadReader, ProtocolError, type Table } from '../../src/runners/wire/reader.ts';
import type { FrameWriter } from '../../src/runners/wire/writer.ts';

export interface RequestCall {
  readonly id: number;
  readonly sourceAddress: Uint8Array;
  readonly method: string;
  /** Percent-decoded. */
  readonly path: string;
  readonly args: readonly TextEntry[];
  readonly headers: readonly TextEntry[];
  readonly confToken: number;
}

export interface ResponseCall {
  readonly id: number;
  readonly status: number;
  readonly headers: readonly TextEntry[];
  readonly confToken: number;
}

export interface Rewrite {
  readonly path: string | undefined;
  readonly headers: readonly TextEntry[];
  readonly args: readonly TextEntry[];
  readonly responseHeaders: readonly TextEntry[];
  readonly body: Uint8Array | undefined;
}

export type Question = { readonly variable: string } | 'request-body' | 'response-body';

/** Order of the schema's `Method`. */
const methods = 'GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK PATCH TRACE'.split(
  ' ',
);

/** All of these throw ProtocolError. A missing value of a configuration is an empty one. */
export function decodePrepareConf(payload: Buffer): (readonly [name: string, value: string])[] {
  const reader = new PayloadReader(payload);
  return readEntries(reader, reader.root(), 0).map(([name, value = '']) => [utf8(name), utf8(value)]);
}

export function decodeRequestCall(payload: Buffer): RequestCall {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  const method = methods[reader.scalar(root, 2, 1)];
  if (method === undefined) throw new ProtocolError('a method that there is none of');
  return {
    id: reader.scalar(root, 0, 4),
    sourceAddress: reader.byteVector(root, 1) ?? Buffer.alloc(0),
    method,
    path: reader.string(root, 3) ?? '',
    args: readEntries(reader, root, 4),
    headers: readEntries(reader, root, 5),
    confToken: reader.scalar(root, 6, 4),
  };
}

export function decodeResponseCall(payload: Buffer): ResponseCall {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  return {
    id: reader.scalar(root, 0, 4),
    status: reader.scalar(root, 1, 2),
    headers: readEntries(reader, root, 2),
    confToken: reader.scalar(root, 3, 4),
  };
}

/** undefined: the gateway has no such value. */
export function decodeInformation(payload: Buffer): Buffer | undefined {
  const reader = new PayloadReader(payload);
  return reader.byteVector(reader.root(), 0);
}

export function encodeError(writer: FrameWriter, code: number): Buffer {
  writer.start(RpcType.error);
  writer.table(writer.root, [{ bytes: 1, value: code }]);
  return writer.finish();
}

export function encodeToken(writer: FrameWriter, token: number): Buffer {
  writer.start(RpcType.prepareConf);
  writer.table(writer.root, [u32(token)]);
  return writer.finish();
}

/** HTTPReqCall.Resp without an action: the request goes on as it is. */
export function encodeUnchanged(writer: FrameWriter, id: number): Buffer {
  writer.start(RpcType.httpReqCall);
  writer.table(writer.root, [u32(id)]);
  return writer.finish();
}

/** Throws FrameTooLarge, like all that hold bodies. */
export function encodeStop(
  writer: FrameWriter,
  id: number,
  status: number,
  headers: readonly TextEntry[],
  body: Uint8Array | undefined,
): Buffer {
  writer.start(RpcType.httpReqCall);
  const [, , action = 0] = writer.table(writer.root, [u32(id), { bytes: 1, value: 1 }, 'offset']);
  const [, headersAt = 0, bodyAt = 0] = writer.table(action, [
    { bytes: 2, value: status },
    present(headers),
    body === undefined ? undefined : 'offset',
  ]);
  writeEntries(writer, headersAt, headers);
  if (body !== undefined) writer.bytes(bodyAt, body);
  return writer.finish();
}

export function encodeRewrite(writer: FrameWriter, id: number, rewrite: Rewrite): Buffer {
  const { path, headers, args, responseHeaders, body } = rewrite;
  writer.start(RpcType.httpReqCall);
  const [, , action = 0] = writer.table(writer.root, [u32(id), { bytes: 1, value: 2 }, 'offset']);
  const [pathAt = 0, headersAt = 0, argsAt = 0, responseHeadersAt = 0, bodyAt = 0] = writer.table(action, [
    path === undefined ? undefined : 'offset',
    present(headers),
    present(args),
    present(responseHeaders),
    body === undefined ? undefined : 'offset',
  ]);
  if (path !== undefined) writer.string(pathAt, path);
  writeEntries(writer, headersAt, headers);
  writeEntries(writer, argsAt, args);
  writeEntries(writer, responseHeadersAt, responseHeaders);
  if (body !== undefined) writer.bytes(bodyAt, body);
  return writer.finish();
}

/** `status` 0 and `body` undefined: as upstream sent them. */
export function encodeResponse(
  writer: FrameWriter,
  id: number,
  status: number,
  headers: readonly TextEntry[],
  body: Uint8Array | undefined,
): Buffer {
  writer.start(RpcType.httpRespCall);
  const [, , headersAt = 0, bodyAt = 0] = writer.table(writer.root, [
    u32(id),
    { bytes: 2, value: status },
    present(headers),
    body === undefined ? undefined : 'offset',
  ]);
  writeEntries(writer, headersAt, headers);
  if (body !== undefined) writer.bytes(bodyAt, body);
  return writer.finish();
}

export function encodeQuestion(writer: FrameWriter, question: Question): Buffer {
  writer.start(RpcType.extraInfo);
  const kind = question === 'request-body' ? 2 : question === 'response-body' ? 3 : 1;
  const [, info = 0] = writer.table(writer.root, [{ bytes: 1, value: kind }, 'offset']);
  const [name = 0] = writer.table(info, typeof question === 'string' ? [] : ['offset']);
  if (typeof question !== 'string') writer.string(name, latin1(question.variable));
  return writer.finish();
}

/** Bytes as text; what is not UTF-8 is replaced. */
export function utf8(text: string): string {
  // eslint-disable-next-line no-control-regex -- ASCII, whole
  return /^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text, 'latin1').toString('utf8');
}

/** Text as UTF-8 bytes. */
export function latin1(text: string): string {
  // eslint-disable-next-line no-control-regex -- ASCII, whole
  return /^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

function u32(value: number): { bytes: 4; value: number } {
  return { bytes: 4, value };
}

function present(entries: readonly TextEntry[]): 'offset' | undefined {
  return entries.length === 0 ? undefined : 'offset';
}

function writeEntries(writer: FrameWriter, from: number, entries: readonly TextEntry[]): void {
  if (entries.length === 0) return;
  let at = writer.vector(from, entries.length);
  for (const [name, value] of entries) {
    const [nameAt = 0, valueAt = 0] = writer.table(at, ['offset', value === undefined ? undefined : 'offset']);
    writer.string(nameAt, name);
    if (value !== undefined) writer.string(valueAt, value);
    at += 4;
  }
}

function readEntries(reader: PayloadReader, table: Table, field: number): readonly TextEntry[] {
  const entries = reader.tables(table, field, (item): TextEntry => {
    const name = reader.string(item, 0);
    if (name === undefined) throw new ProtocolError('an entry without a name');
    return [name, reader.string(item, 1)];
  });
  return entries ?? [];
}
