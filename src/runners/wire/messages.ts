/**
 * The gateway's half of the external-plugin protocol: what a gateway says, encoded; what a runner answers, decoded (`schema.ts` has
 * what the halves share). Nothing here reads what a gateway says.
 */
import type { RequestVerdict, ResponseVerdict, TextEntry } from '../../plugin/runners/runners.ts';
import { PayloadReader, ProtocolError } from './reader.ts';
import {
  ActionType,
  InfoType,
  methods,
  offsetOf,
  readEntries,
  RpcType,
  u16,
  u32,
  u8,
  writeEntries,
  type ExtraInfoQuestion,
  type HttpReqCall,
  type HttpRespCall,
} from './schema.ts';
import type { FrameWriter } from './writer.ts';

export type HttpReqCallAnswer = { readonly id: number } & RequestVerdict;
export type HttpRespCallAnswer = { readonly id: number } & ResponseVerdict;

const codes: ReadonlyMap<string, number> = new Map(methods.map((method, code) => [method, code]));

/** The protocol has no word for some methods (PURGE, extension methods). */
export function methodCode(method: string): number | undefined {
  return codes.get(method);
}

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
    u8(call.method),
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
  const [, , headers = 0] = writer.table(writer.root, [u32(call.id), u16(call.status), 'offset', u32(call.confToken)]);
  writeEntries(writer, headers, call.headers);
  return writer.finish();
}

/** undefined: there is no such value. */
export function encodeExtraInfo(writer: FrameWriter, result: Uint8Array | undefined): Buffer {
  writer.start(RpcType.extraInfo);
  const [at = 0] = writer.table(writer.root, [offsetOf(result)]);
  if (result !== undefined) writer.bytes(at, result);
  const frame = writer.finish();
  writer.trim();
  return frame;
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
  if (type === ActionType.none) return { id, action: 'none' };
  if (type > ActionType.rewrite) throw new ProtocolError(`an unknown action (${String(type)})`);
  const action = reader.tableAt(root, 2);
  if (action === undefined) throw new ProtocolError('an action without its table');
  if (type === ActionType.stop) {
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
    case InfoType.variable: {
      const info = reader.tableAt(root, 1);
      const name = info === undefined ? undefined : reader.string(info, 0);
      if (name === undefined || name === '') throw new ProtocolError('a question for a variable without its name');
      return { info: 'variable', name };
    }
    case InfoType.requestBody:
      return { info: 'request-body' };
    case InfoType.responseBody:
      return { info: 'response-body' };
    default:
      throw new ProtocolError('a question for something unknown');
  }
}
