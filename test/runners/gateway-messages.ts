/** Reads what a gateway says to a runner, and writes what runners say: the other half of src/runners/wire, for tests alone. */
import type { TextEntry } from '../../src/plugin/runners/runners.ts';
import { PayloadReader, type Table } from '../../src/runners/wire/reader.ts';
import { FrameWriter, type Slot } from '../../src/runners/wire/writer.ts';

export interface PrepareConf {
  readonly conf: readonly TextEntry[];
  readonly key: string | undefined;
}
export interface RequestCall {
  readonly id: number;
  readonly sourceAddress: Buffer | undefined;
  readonly method: number;
  readonly path: string | undefined;
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

export function readPrepareConf(payload: Buffer): PrepareConf {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  return { conf: entries(reader, root, 0), key: reader.string(root, 1) };
}

export function readRequestCall(payload: Buffer): RequestCall {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  return {
    id: reader.scalar(root, 0, 4),
    sourceAddress: reader.byteVector(root, 1),
    method: reader.scalar(root, 2, 1),
    path: reader.string(root, 3),
    args: entries(reader, root, 4),
    headers: entries(reader, root, 5),
    confToken: reader.scalar(root, 6, 4),
  };
}

export function readResponseCall(payload: Buffer): ResponseCall {
  const reader = new PayloadReader(payload);
  const root = reader.root();
  return {
    id: reader.scalar(root, 0, 4),
    status: reader.scalar(root, 1, 2),
    headers: entries(reader, root, 2),
    confToken: reader.scalar(root, 3, 4),
  };
}

export function readInformation(payload: Buffer): Buffer | undefined {
  const reader = new PayloadReader(payload);
  return reader.byteVector(reader.root(), 0);
}

function entries(reader: PayloadReader, table: Table, field: number): TextEntry[] {
  return reader.tables(table, field, (item): TextEntry => [reader.string(item, 0) ?? '', reader.string(item, 1)]) ?? [];
}

export interface StopAnswer {
  readonly status?: number;
  readonly headers?: readonly TextEntry[];
  readonly body?: Uint8Array;
}
export interface RewriteAnswer {
  readonly path?: string;
  readonly headers?: readonly TextEntry[];
  readonly args?: readonly TextEntry[];
  readonly responseHeaders?: readonly TextEntry[];
  readonly body?: Uint8Array;
}

const offset = (value: unknown): Slot => (value === undefined ? undefined : 'offset');
const u32 = (value: number): Slot => ({ bytes: 4, value });
const u16 = (value: number): Slot => ({ bytes: 2, value });
const u8 = (value: number): Slot => ({ bytes: 1, value });

export function confToken(token: number): Buffer {
  const writer = start(1);
  writer.table(writer.root, [u32(token)]);
  return writer.finish();
}

export function failure(code: number): Buffer {
  const writer = start(0);
  writer.table(writer.root, [u8(code)]);
  return writer.finish();
}

export function goOn(id: number): Buffer {
  const writer = start(2);
  writer.table(writer.root, [u32(id)]);
  return writer.finish();
}

export function stop(id: number, { status = 0, headers, body }: StopAnswer): Buffer {
  const writer = start(2);
  const [, , action = 0] = writer.table(writer.root, [u32(id), u8(1), 'offset']);
  const [, headersAt = 0, bodyAt = 0] = writer.table(action, [u16(status), offset(headers), offset(body)]);
  writeEntries(writer, headersAt, headers);
  if (body !== undefined) writer.bytes(bodyAt, body);
  return writer.finish();
}

export function rewrite(id: number, { path, headers, args, responseHeaders, body }: RewriteAnswer): Buffer {
  const writer = start(2);
  const [, , action = 0] = writer.table(writer.root, [u32(id), u8(2), 'offset']);
  const at = writer.table(action, [offset(path), offset(headers), offset(args), offset(responseHeaders), offset(body)]);
  if (path !== undefined) writer.string(at[0] ?? 0, path);
  writeEntries(writer, at[1] ?? 0, headers);
  writeEntries(writer, at[2] ?? 0, args);
  writeEntries(writer, at[3] ?? 0, responseHeaders);
  if (body !== undefined) writer.bytes(at[4] ?? 0, body);
  return writer.finish();
}

export function changedResponse(id: number, { status = 0, headers, body }: StopAnswer): Buffer {
  const writer = start(4);
  const [, , headersAt = 0, bodyAt = 0] = writer.table(writer.root, [
    u32(id),
    u16(status),
    offset(headers),
    offset(body),
  ]);
  writeEntries(writer, headersAt, headers);
  if (body !== undefined) writer.bytes(bodyAt, body);
  return writer.finish();
}

/** A question: a variable's name, or one of the bodies. */
export function question(about: { readonly variable: string } | 'request-body' | 'response-body'): Buffer {
  const writer = start(3);
  const type = about === 'request-body' ? 2 : about === 'response-body' ? 3 : 1;
  const [, info = 0] = writer.table(writer.root, [u8(type), 'offset']);
  const [name = 0] = writer.table(info, typeof about === 'string' ? [] : ['offset']);
  if (typeof about !== 'string') writer.string(name, about.variable);
  return writer.finish();
}

function start(type: number): FrameWriter {
  const writer = new FrameWriter();
  writer.start(type);
  return writer;
}

function writeEntries(writer: FrameWriter, from: number, list: readonly TextEntry[] | undefined): void {
  if (list === undefined) return;
  let at = writer.vector(from, list.length);
  for (const [name, value] of list) {
    const [nameAt = 0, valueAt = 0] = writer.table(at, ['offset', offset(value)]);
    writer.string(nameAt, name);
    if (value !== undefined) writer.string(valueAt, value);
    at += 4;
  }
}
