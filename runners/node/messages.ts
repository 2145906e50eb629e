/**
 * The runner's half of the external-plugin protocol: what a gateway sends, decoded; what a runner answers, encoded. The gateway's half,
 * and what both share, are in `src/runners/wire/`. Text is Latin-1: each character a byte on the wire.
 */
import type { RequestVerdict, ResponseVerdict, TextEntry } from '../../src/plugin/runners/runners.ts';
import { PayloadReader, ProtocolError } from '../../src/runners/wire/reader.ts';
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
} from '../../src/runners/wire/schema.ts';
import type { FrameWriter, Slot } from '../../src/runners/wire/writer.ts';

export type RequestCall = Omit<HttpReqCall, 'method'> & { readonly method: string };

/** Configurations: names and values. */
export interface PrepareConf {
  readonly conf: readonly TextEntry[];
  readonly key: string;
}

type Stop = RequestVerdict & { readonly action: 'stop' };
type Rewrite = RequestVerdict & { readonly action: 'rewrite' };

/** All of these throw ProtocolError. */
export function decodePrepareConf(payload: Buffer): PrepareConf {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  return { conf: readEntries(reader, root, 0), key: reader.string(root, 1) ?? '' };
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

export function decodeResponseCall(payload: Buffer): HttpRespCall {
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
  writer.table(writer.root, [u8(code)]);
  return writer.finish();
}

export function encodeToken(writer: FrameWriter, token: number): Buffer {
  writer.start(RpcType.prepareConf);
  writer.table(writer.root, [u32(token)]);
  return writer.finish();
}

/** Throws FrameTooLarge, like all that hold bodies. */
export function encodeRequestVerdict(writer: FrameWriter, id: number, verdict: RequestVerdict): Buffer {
  writer.start(RpcType.httpReqCall);
  if (verdict.action === 'none') writer.table(writer.root, [u32(id)]);
  else {
    const [, , at = 0] = writer.table(writer.root, [u32(id), u8(ActionType[verdict.action]), 'offset']);
    if (verdict.action === 'stop') writeStop(writer, at, verdict);
    else writeRewrite(writer, at, verdict);
  }
  return writer.finish();
}

export function encodeResponseVerdict(writer: FrameWriter, id: number, verdict: ResponseVerdict): Buffer {
  writer.start(RpcType.httpRespCall);
  const [, ...slots] = writer.table(writer.root, [u32(id), ...answerSlots(verdict)]);
  writeAnswer(writer, slots, verdict);
  return writer.finish();
}

/** A variable's name goes as UTF-8. */
export function encodeQuestion(writer: FrameWriter, question: ExtraInfoQuestion): Buffer {
  writer.start(RpcType.extraInfo);
  const kind = {
    variable: InfoType.variable,
    'request-body': InfoType.requestBody,
    'response-body': InfoType.responseBody,
  };
  const [, info = 0] = writer.table(writer.root, [u8(kind[question.info]), 'offset']);
  const [name = 0] = writer.table(info, question.info === 'variable' ? ['offset'] : []);
  if (question.info === 'variable') writer.string(name, latin1(question.name));
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

function writeStop(writer: FrameWriter, at: number, stop: Stop): void {
  writeAnswer(writer, writer.table(at, answerSlots(stop)), stop);
}

/** Status, headers, body: Stop has them, and HTTPRespCall.Resp after its id. */
function answerSlots({ status, headers, body }: ResponseVerdict): Slot[] {
  return [u16(status), listOf(headers), offsetOf(body)];
}

function writeAnswer(writer: FrameWriter, [, headersAt, bodyAt]: number[], { headers, body }: ResponseVerdict): void {
  writeList(writer, headersAt, headers);
  if (body !== undefined) writer.bytes(bodyAt ?? 0, body);
}

function writeRewrite(writer: FrameWriter, at: number, rewrite: Rewrite): void {
  const { path, headers, args, responseHeaders, body } = rewrite;
  const lists = [headers, args, responseHeaders];
  const slots = writer.table(at, [offsetOf(path), ...lists.map(listOf), offsetOf(body)]);
  if (path !== undefined) writer.string(slots[0] ?? 0, path);
  for (const [index, list] of lists.entries()) writeList(writer, slots[1 + index], list);
  if (body !== undefined) writer.bytes(slots[4] ?? 0, body);
}

/** An empty list is left out. */
function listOf(entries: readonly TextEntry[]): Slot {
  return entries.length === 0 ? undefined : 'offset';
}

function writeList(writer: FrameWriter, at: number | undefined, entries: readonly TextEntry[]): void {
  if (entries.length > 0) writeEntries(writer, at ?? 0, entries);
}
