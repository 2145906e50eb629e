/**
 * APISIX's external-plugin protocol (ext-plugin.fbs of api7/ext-plugin-proto, 0.6.1), as far as both halves share it: numbers, the
 * calls, lists of text. `messages.ts` is the gateway's half, `runners/node/messages.ts` the runner's.
 * Text is Latin-1: its characters are the bytes on the wire. Field numbers are the schema's, in its order.
 */
import type { TextEntry } from '../../plugin/runners/runners.ts';
import { ProtocolError, type PayloadReader, type Table } from './reader.ts';
import type { FrameWriter, Slot } from './writer.ts';

/** First byte of a frame. */
export const RpcType = { error: 0, prepareConf: 1, httpReqCall: 2, extraInfo: 3, httpRespCall: 4 } as const;

/** Codes of `Err.Resp`. */
export const ErrorCode = { badRequest: 0, serviceUnavailable: 1, confTokenNotFound: 2 } as const;

/** `Action` of HTTPReqCall.Resp; 0: the request goes on as it is. */
export const ActionType = { none: 0, stop: 1, rewrite: 2 } as const;

/** `Info` of ExtraInfo.Req. */
export const InfoType = { variable: 1, requestBody: 2, responseBody: 3 } as const;

/** Order of the schema's `Method`: the place is the code. */
export const methods: readonly string[] = (
  'GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS ' + 'PROPFIND PROPPATCH LOCK UNLOCK PATCH TRACE'
).split(' ');

export interface HttpReqCall {
  readonly id: number;
  /** 4 or 16 bytes. */
  readonly sourceAddress: Uint8Array;
  readonly method: number;
  /** Percent-decoded. */
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

export type ExtraInfoQuestion =
  | { readonly info: 'variable'; readonly name: string }
  | { readonly info: 'request-body' }
  | { readonly info: 'response-body' };

export const u8 = (value: number): Slot => ({ bytes: 1, value });
export const u16 = (value: number): Slot => ({ bytes: 2, value });
export const u32 = (value: number): Slot => ({ bytes: 4, value });

/** The slot of what is written later, or left out. */
export function offsetOf(value: unknown): Slot {
  return value === undefined ? undefined : 'offset';
}

/** Links the list to the slot at `from`. */
export function writeEntries(writer: FrameWriter, from: number, entries: readonly TextEntry[]): void {
  let at = writer.vector(from, entries.length);
  for (const [name, value] of entries) {
    const [nameAt = 0, valueAt = 0] = writer.table(at, ['offset', offsetOf(value)]);
    writer.string(nameAt, name);
    if (value !== undefined) writer.string(valueAt, value);
    at += 4;
  }
}

const noEntries: readonly TextEntry[] = [];

/** Throws ProtocolError. A list that is left out is an empty one. */
export function readEntries(reader: PayloadReader, table: Table, field: number): readonly TextEntry[] {
  const entries = reader.tables(table, field, (item): TextEntry => {
    const name = reader.string(item, 0);
    if (name === undefined) throw new ProtocolError('an entry without a name');
    return [name, reader.string(item, 1)];
  });
  return entries ?? noEntries;
}
