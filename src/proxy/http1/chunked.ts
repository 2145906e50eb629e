/**
 * Chunked transfer coding (RFC 9112 §7.1): bytes → body pieces, strictly. Sizes are hex digits and CRLF; extensions are
 * checked (RFC 9112 §7.1.1), bounded, and dropped; a bare LF and spaces are refused.
 *
 *   size ──CRLF──► data ──CRLF──► size …  size 0 ──CRLF──► trailers ──CRLF──► done
 *     └─';'─► name ──'='──► value ──';'──► name …  ──CRLF──► as after a size
 */
import { GatewayError } from '../../errors/gateway-error.ts';
import { isFieldValue, isToken } from './characters.ts';
import type { Fields } from './fields.ts';
import { type HeadLimits, parseTrailers } from './parse-head.ts';

const ChunkState = {
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  trailers: 6,
  done: 7,
} as const;
type State = (typeof ChunkState)[keyof typeof ChunkState];

/** Where in `;name=value` or `;name="quoted"` the next byte stands. The even ones may end the extension. */
const Extension = { nameStart: 1, name: 2, valueStart: 3, value: 4, quoted: 5, quotedEnd: 6, escaped: 7 } as const;
type Extension = (typeof Extension)[keyof typeof Extension];

/** Bytes of one chunk-size line with its extensions. */
const maxSizeLine = 256;

export class ChunkedDecoder {
  #state: State = ChunkState.size;
  #extension: Extension = Extension.nameStart;
  #remaining = 0;
  #digits = 0;
  #lineBytes = 0;
  #held: Buffer | undefined;
  /** Set once the body is done and had trailers. */
  trailers: Fields | undefined;
  readonly #source: 'REQUEST_MALFORMED' | 'UPSTREAM_MALFORMED';
  readonly #limits: HeadLimits;

  constructor(source: 'REQUEST_MALFORMED' | 'UPSTREAM_MALFORMED', limits: HeadLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  get done(): boolean {
    return this.#state === ChunkState.done;
  }

  /**
   * Decodes `buffer[start, end)`, calling `onData(from, to)` for each piece of body in it (offsets into `buffer`).
   * Returns the offset of the first byte it did not take: `end`, or less once `done`. Throws GatewayError.
   */
  decode(buffer: Buffer, start: number, end: number, onData: (from: number, to: number) => void): number {
    let position = start;
    while (position < end && this.#state !== ChunkState.done) {
      const byte = buffer[position] as number;
      switch (this.#state) {
        case ChunkState.size: {
          this.#countLineByte();
          const digit = hexDigit(byte);
          if (digit >= 0) {
            // 13 hex digits stay within the safe integers.
            if (++this.#digits > 13) throw this.#fail('chunk size too large');
            this.#remaining = this.#remaining * 16 + digit;
          } else if (this.#digits === 0) throw this.#fail('invalid chunk size');
          else if (byte === 0x0d) this.#state = ChunkState.sizeLf;
          else if (byte === 0x3b) {
            this.#state = ChunkState.extension;
            this.#extension = Extension.nameStart;
          } else throw this.#fail('invalid chunk size');
          position++;
          break;
        }
        case ChunkState.extension:
          this.#countLineByte();
          if (byte === 0x0d && this.#extension % 2 === 0) this.#state = ChunkState.sizeLf;
          else this.#extension = this.#afterExtensionByte(byte);
          position++;
          break;
        case ChunkState.sizeLf:
          if (byte !== 0x0a) throw this.#fail('invalid end of a chunk size');
          this.#digits = 0;
          this.#lineBytes = 0;
          this.#state = this.#remaining === 0 ? ChunkState.trailers : ChunkState.data;
          position++;
          break;
        case ChunkState.data: {
          const to = Math.min(end, position + this.#remaining);
          this.#remaining -= to - position;
          if (this.#remaining === 0) this.#state = ChunkState.dataCr;
          onData(position, to);
          position = to;
          break;
        }
        case ChunkState.dataCr:
          if (byte !== 0x0d) throw this.#fail('chunk longer than its size');
          this.#state = ChunkState.dataLf;
          position++;
          break;
        case ChunkState.dataLf:
          if (byte !== 0x0a) throw this.#fail('invalid end of a chunk');
          this.#state = ChunkState.size;
          position++;
          break;
        default:
          return this.#decodeTrailers(buffer, position, end);
      }
    }
    return position;
  }

  #afterExtensionByte(byte: number): Extension {
    switch (this.#extension) {
      case Extension.nameStart:
        if (isToken[byte] === 1) return Extension.name;
        break;
      case Extension.name:
        if (isToken[byte] === 1) return Extension.name;
        if (byte === 0x3d) return Extension.valueStart;
        if (byte === 0x3b) return Extension.nameStart;
        break;
      case Extension.valueStart:
        if (isToken[byte] === 1) return Extension.value;
        if (byte === 0x22) return Extension.quoted;
        break;
      case Extension.value:
        if (isToken[byte] === 1) return Extension.value;
        if (byte === 0x3b) return Extension.nameStart;
        break;
      case Extension.quoted:
        if (byte === 0x22) return Extension.quotedEnd;
        if (byte === 0x5c) return Extension.escaped;
        if (isFieldValue[byte] === 1) return Extension.quoted;
        break;
      case Extension.escaped:
        if (isFieldValue[byte] === 1) return Extension.quoted;
        break;
      case Extension.quotedEnd:
        if (byte === 0x3b) return Extension.nameStart;
    }
    throw this.#fail('invalid chunk extension');
  }

  #decodeTrailers(buffer: Buffer, position: number, end: number): number {
    const heldBytes = this.#held?.length ?? 0;
    const bytes =
      this.#held === undefined
        ? buffer.subarray(position, end)
        : Buffer.concat([this.#held, buffer.subarray(position, end)]);
    const section = parseTrailers(bytes, 0, bytes.length, this.#limits, this.#source);
    if (section === undefined) {
      if (bytes.length > this.#limits.maxHeadBytes) throw this.#fail('trailers too large');
      this.#held = Buffer.from(bytes);
      return end;
    }
    this.#held = undefined;
    if (section.fields.length > 0) this.trailers = section.fields;
    this.#state = ChunkState.done;
    return position + section.end - heldBytes;
  }

  #countLineByte(): void {
    if (++this.#lineBytes > maxSizeLine) throw this.#fail('chunk size line too long');
  }

  #fail(detail: string): GatewayError {
    return new GatewayError(this.#source, detail);
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
