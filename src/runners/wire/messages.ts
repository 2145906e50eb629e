/**
 * The messages of APISIX's external-plugin protocol (schema: ext-plugin.fbs of api7/ext-plugin-proto, 0.6.1) as plain objects.
 * Text is Latin-1: its characters are the bytes on the wire. Field numbers are the schema's, in its order.
 * Encoding is the gateway's half, decoding the runner's: nothing here reads what a gateway says.
 */
import type { TextEntry } from '../../plugin/runners/runners.ts';
import { PayloadReader, ProtocolError, type Table } from './reader.ts';
import type { FrameWriter } from './writer.ts';

/** First byte of a frame. */
export const RpcType = { error: 0, prepareConf: 1, httpReqCall: 2, extraInfo: 3, httpRespCall: 4 } as const;

/** Codes of `Err.Resp`. */
export const ErrorCode = { badRequest: 0, serviceUnavailable: 1, confTokenNotFound: 2 } as const;

/** Order of the schema's `Method`. */
const methods: ReadonlyMap<string, number> = new Map(
  // prettier-ignore
  ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'MKCOL', 'COPY', 'MOVE', 'OPTIONS', 'PROPFIND', 'PROPPATCH', 'LOCK', 'UNLOCK', 'PATCH', 'TRACE']
    .map((method, code) => [method, code]),
);

/** The protocol has no word for some methods (PURGE, extension methods). */
export function methodCode(method: string): number | undefined {
  return methods.get(method);
}

export interface HttpReqCall {
  readonly id: number;
  /** 4 or 16 bytes. */
  readonly sourceAddress: Uint8Array;
  readonly method: number;
  readonly path: string;
  readonly args: readonly TextEntry[];
  readonly headers: readonly TextEntry[];
  readonly confToken: number;
}

export interface HttpRespCall {
  readonly id: number;
  readonly status: number;
  readonly headers: readonly TextEntry[];
  readonly confToken: number;
}

export type HttpReqCallAnswer = { readonly id: number } & (
  | { readonly action: 'none' }
  | {
      readonly action: 'stop';
      /** 0: not given. */
      readonly status: number;
      readonly headers: readonly TextEntry[];
      readonly body: Buffer | undefined;
    }
  | {
      readonly action: 'rewrite';
      readonly path: string | undefined;
      readonly headers: readonly TextEntry[];
      readonly args: readonly TextEntry[];
      readonly responseHeaders: readonly TextEntry[];
      readonly body: Buffer | undefined;
    }
);

export interface HttpRespCallAnswer {
  readonly id: number;
  /** 0: as it is. */
  readonly status: number;
  readonly headers: readonly TextEntry[];
  readonly body: Buffer | undefined;
}

export type ExtraInfoQuestion =
  | { readonly info: 'variable'; readonly name: string }
  | { readonly info: 'request-body' }
  | { readonly info: 'response-body' };

const noEntries: readonly TextEntry[] = [];

export function encodePrepareConf(writer: FrameWriter, conf: readonly TextEntry[], key: string): Buffer {
  writer.start(RpcType.prepareConf);
  const [confAt = 0, keyAt = 0] = writer.table(writer.root, ['offset', 'offset']);
  writeEntries(writer, confAt, conf);
  writer.string(keyAt, key);
  return writer.finish();
}

export function encodeHttpReqCall(writer: FrameWriter, call: HttpReqCall): Buffer {
  writer.start(RpcType.httpReqCall);
  const [, address = 0, , path = 0, args = 0, headers = 0] = writer.table(writer.root, [
    u32(call.id),
    'offset',
    { bytes: 1, value: call.method },
    'offset',
    'offset',
    'offset',
    u32(call.confToken),
  ]);
  writer.bytes(address, call.sourceAddress);
  writer.string(path, call.path);
  writeEntries(writer, args, call.args);
  writeEntries(writer, headers, call.headers);
  return writer.finish();
}

export function encodeHttpRespCall(writer: FrameWriter, call: HttpRespCall): Buffer {
  writer.start(RpcType.httpRespCall);
  const [, , headers = 0] = writer.table(writer.root, [
    u32(call.id),
    { bytes: 2, value: call.status },
    'offset',
    u32(call.confToken),
  ]);
  writeEntries(writer, headers, call.headers);
  return writer.finish();
}

/** undefined: there is no such value. */
export function encodeExtraInfo(writer: FrameWriter, result: Uint8Array | undefined): Buffer {
  writer.start(RpcType.extraInfo);
  const [at = 0] = writer.table(writer.root, [result === undefined ? undefined : 'offset']);
  if (result !== undefined) writer.bytes(at, result);
  const frame = writer.finish();
  writer.trim();
  return frame;
}

function u32(value: number): { bytes: 4; value: number } {
  return { bytes: 4, value };
}

function writeEntries(writer: FrameWriter, from: number, entries: readonly TextEntry[]): void {
  let at = writer.vector(from, entries.length);
  for (const [name, value] of entries) {
    const [nameAt = 0, valueAt = 0] = writer.table(at, ['offset', value === undefined ? undefined : 'offset']);
    writer.string(nameAt, name);
    if (value !== undefined) writer.string(valueAt, value);
    at += 4;
  }
}

/** All of these throw ProtocolError. */
export function decodeError(payload: Buffer): number {
  const reader = new PayloadReader(payload);
  return reader.scalar(reader.root(), 0, 1);
}

export function decodePrepareConf(payload: Buffer): number {
  const reader = new PayloadReader(payload);
  return reader.scalar(reader.root(), 0, 4);
}

export function decodeHttpReqCall(payload: Buffer): HttpReqCallAnswer {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  const id = reader.scalar(root, 0, 4);
  const type = reader.scalar(root, 1, 1);
  if (type === 0) return { id, action: 'none' };
  if (type > 2) throw new ProtocolError(`an unknown action (${String(type)})`);
  const action = reader.tableAt(root, 2);
  if (action === undefined) throw new ProtocolError('an action without its table');
  if (type === 1) {
    return {
      id,
      action: 'stop',
      status: reader.scalar(action, 0, 2),
      headers: readEntries(reader, action, 1),
      body: reader.byteVector(action, 2),
    };
  }
  return {
    id,
    action: 'rewrite',
    path: reader.string(action, 0),
    headers: readEntries(reader, action, 1),
    args: readEntries(reader, action, 2),
    responseHeaders: readEntries(reader, action, 3),
    body: reader.byteVector(action, 4),
  };
}

export function decodeHttpRespCall(payload: Buffer): HttpRespCallAnswer {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  return {
    id: reader.scalar(root, 0, 4),
    status: reader.scalar(root, 1, 2),
    headers: readEntries(reader, root, 2),
    body: reader.byteVector(root, 3),
  };
}

export function decodeExtraInfo(payload: Buffer): ExtraInfoQuestion {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  switch (reader.scalar(root, 0, 1)) {
    case 1: {
      const info = reader.tableAt(root, 1);
      const name = info === undefined ? undefined : reader.string(info, 0);
      if (name === undefined || name === '') throw new ProtocolError('a question for a variable without its name');
      return { info: 'variable', name };
    }
    case 2:
      return { info: 'request-body' };
    case 3:
      return { info: 'response-body' };
    default:
      throw new ProtocolError('a question for something unknown');
  }
}

function readEntries(reader: PayloadReader, table: Table, field: number): readonly TextEntry[] {
  const entries = reader.tables(table, field, (item): TextEntry => {
    const name = reader.string(item, 0);
    if (name === undefined) throw new ProtocolError('an entry without a name');
    return [name, reader.string(item, 1)];
  });
  return entries ?? noEntries;
}
