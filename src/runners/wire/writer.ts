/**
 * Writes one frame: type, length, and a FlatBuffers payload laid out from the root forwards, so that every offset points on.
 * Strings and byte vectors go out as the bytes they are (Latin-1 text): a header value need not be UTF-8.
 *
 *   [type][length ×3] [root offset] [vtable][table] … [vector of offsets] … [length][bytes][NUL]
 *
 * Invariant: every value is aligned to its size, counted from the start of the payload, as FlatBuffers asks.
 */

/** The length has three bytes. */
export const maxPayloadBytes = 0xff_ff_ff;
const frameHeaderBytes = 4;

/** The message does not fit a frame: it cannot be said in this protocol. */
export class FrameTooLarge extends Error {
  override readonly name = 'FrameTooLarge';
}

/** One field of a table: its scalar, or 'offset' for what is written later and linked with `link`. undefined: left out. */
export type Slot = { readonly bytes: 1 | 2 | 4; readonly value: number } | 'offset' | undefined;

const offsetSlot = { bytes: 4, value: 0 } as const;

export class FrameWriter {
  #buffer: Buffer = Buffer.allocUnsafe(1024);
  #end = 0;

  /** Starts a frame; what was written before is gone. */
  start(type: number): void {
    this.#end = 0;
    this.#reserve(frameHeaderBytes + 4);
    this.#buffer[0] = type;
    this.#end = frameHeaderBytes + 4;
  }

  /** The frame's own copy. Throws FrameTooLarge. */
  finish(): Buffer {
    const length = this.#end - frameHeaderBytes;
    if (length > maxPayloadBytes)
      throw new FrameTooLarge(`a message of ${String(length)} bytes; ${String(maxPayloadBytes)} is the most`);
    this.#buffer.writeUIntBE(length, 1, 3);
    return Buffer.from(this.#buffer.subarray(0, this.#end));
  }

  /** Where the offset of the root stands. */
  get root(): number {
    return frameHeaderBytes;
  }

  /** Writes a table and points `from` at it. Returns where each field stands, 0 for those left out. */
  table(from: number, slots: readonly Slot[]): number[] {
    const positions: number[] = [];
    let size = 4;
    const offsets = slots.map((slot) => {
      if (slot === undefined) return 0;
      const { bytes } = slot === 'offset' ? offsetSlot : slot;
      size = align(size, bytes);
      const offset = size;
      size += bytes;
      return offset;
    });
    const vtableBytes = 4 + 2 * slots.length;
    this.#align(2);
    // The table follows its vtable and starts on a multiple of four.
    const vtable = align(this.#end - frameHeaderBytes + vtableBytes, 4) - vtableBytes + frameHeaderBytes;
    this.#zero(vtable - this.#end);
    this.#reserve(vtableBytes + size);
    const buffer = this.#buffer;
    buffer.writeUInt16LE(vtableBytes, vtable);
    buffer.writeUInt16LE(size, vtable + 2);
    const table = vtable + vtableBytes;
    buffer.fill(0, table, table + size);
    buffer.writeInt32LE(vtableBytes, table);
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i];
      const offset = offsets[i] ?? 0;
      buffer.writeUInt16LE(offset, vtable + 4 + 2 * i);
      positions.push(offset === 0 ? 0 : table + offset);
      if (slot !== undefined && slot !== 'offset') buffer.writeUIntLE(slot.value, table + offset, slot.bytes);
    }
    this.#end = table + size;
    buffer.writeUInt32LE(table - from, from);
    return positions;
  }

  /** `text`: bytes as Latin-1. */
  string(from: number, text: string): void {
    const at = this.#lengthPrefixed(from, text.length, text.length + 1);
    this.#buffer.write(text, at, text.length, 'latin1');
    this.#buffer[at + text.length] = 0;
  }

  bytes(from: number, bytes: Uint8Array): void {
    const at = this.#lengthPrefixed(from, bytes.length, bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** A vector of offsets; returns where the first stands, each next one four bytes on. */
  vector(from: number, length: number): number {
    const at = this.#lengthPrefixed(from, length, 4 * length);
    this.#buffer.fill(0, at, this.#end);
    return at;
  }

  #lengthPrefixed(from: number, length: number, bytes: number): number {
    this.#align(4);
    this.#reserve(4 + bytes);
    this.#buffer.writeUInt32LE(this.#end - from, from);
    this.#buffer.writeUInt32LE(length, this.#end);
    const at = this.#end + 4;
    this.#end = at + bytes;
    return at;
  }

  /** The frame's header is four bytes long, so that positions and payload offsets agree modulo four. */
  #align(bytes: number): void {
    this.#zero(align(this.#end, bytes) - this.#end);
  }

  #zero(bytes: number): void {
    if (bytes === 0) return;
    this.#reserve(bytes);
    this.#buffer.fill(0, this.#end, this.#end + bytes);
    this.#end += bytes;
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed > frameHeaderBytes + maxPayloadBytes)
      throw new FrameTooLarge(`a message of more than ${String(maxPayloadBytes)} bytes`);
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }

  /** Gives back what a very large message took. */
  trim(): void {
    if (this.#buffer.length > maxKeptBytes) this.#buffer = Buffer.allocUnsafe(1024);
  }
}

const maxKeptBytes = 262_144;

function align(position: number, bytes: number): number {
  return Math.ceil(position / bytes) * bytes;
}
