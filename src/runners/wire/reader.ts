/**
 * Reads a FlatBuffers payload that a runner sent, and believes nothing of it: every offset is checked before it is followed,
 * and what is read in all is bounded, since one piece may be pointed at any number of times.
 * Every failure is a ProtocolError; a payload can neither crash nor stall the reader (the schema has no table within itself).
 */

/** A runner said what the protocol does not allow. The connection it came on is of no use any more. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Where a table stands and where its vtable is. */
export interface Table {
  readonly at: number;
  readonly size: number;
  readonly vtable: number;
  readonly vtableSize: number;
}

/** Each entry of a list costs memory beside its text. */
const entryCost = 32;

export class PayloadReader {
  readonly #bytes: Buffer;
  /** What may still be read: twice the payload, for a writer may share equal strings. */
  #budget: number;

  constructor(payload: Buffer) {
    this.#bytes = payload;
    this.#budget = 2 * payload.length + 4096;
  }

  root(): Table {
    return this.#table(this.#offset(0));
  }

  /** `bytes` of an unsigned field; its default 0 where it is left out. */
  scalar(table: Table, field: number, bytes: 1 | 2 | 4): number {
    const at = this.#field(table, field, bytes);
    return at === 0 ? 0 : this.#bytes.readUIntLE(at, bytes);
  }

  tableAt(table: Table, field: number): Table | undefined {
    const at = this.#field(table, field, 4);
    return at === 0 ? undefined : this.#table(this.#offset(at));
  }

  /** Bytes as Latin-1 text. */
  string(table: Table, field: number): string | undefined {
    const at = this.#field(table, field, 4);
    if (at === 0) return undefined;
    const [from, to] = this.#range(at, 1);
    this.#spend(to - from);
    return this.#bytes.toString('latin1', from, to);
  }

  /** A view into the payload. */
  byteVector(table: Table, field: number): Buffer | undefined {
    const at = this.#field(table, field, 4);
    if (at === 0) return undefined;
    const [from, to] = this.#range(at, 1);
    return this.#bytes.subarray(from, to);
  }

  /** A vector of tables, each read by `read`. */
  tables<T>(table: Table, field: number, read: (item: Table) => T): T[] | undefined {
    const at = this.#field(table, field, 4);
    if (at === 0) return undefined;
    const [from, to] = this.#range(at, 4);
    this.#spend(((to - from) / 4) * entryCost);
    const items: T[] = [];
    for (let i = from; i < to; i += 4) items.push(read(this.#table(this.#offset(i))));
    return items;
  }

  /** 0 where the table leaves the field out. */
  #field(table: Table, field: number, bytes: number): number {
    const slot = 4 + 2 * field;
    if (slot + 2 > table.vtableSize) return 0;
    const offset = this.#bytes.readUInt16LE(table.vtable + slot);
    if (offset === 0) return 0;
    if (offset < 4 || offset + bytes > table.size) throw new ProtocolError('a field outside its table');
    return table.at + offset;
  }

  #table(at: number): Table {
    const { length } = this.#bytes;
    const vtable = at - this.#bytes.readInt32LE(at);
    if (vtable < 0 || vtable + 4 > length) throw new ProtocolError('a vtable outside the payload');
    const vtableSize = this.#bytes.readUInt16LE(vtable);
    const size = this.#bytes.readUInt16LE(vtable + 2);
    if (vtableSize < 4 || vtableSize % 2 !== 0 || vtable + vtableSize > length)
      throw new ProtocolError('a vtable of an impossible size');
    if (size < 4 || at + size > length) throw new ProtocolError('a table outside the payload');
    return { at, size, vtable, vtableSize };
  }

  /** Follows the offset at `at` to at least four bytes. */
  #offset(at: number): number {
    const { length } = this.#bytes;
    if (at + 4 > length) throw new ProtocolError('an offset outside the payload');
    const to = at + this.#bytes.readUInt32LE(at);
    if (to === at || to + 4 > length) throw new ProtocolError('an offset that leads outside the payload');
    return to;
  }

  /** First and last byte of a vector of `size`-byte elements. */
  #range(at: number, size: number): readonly [number, number] {
    const start = this.#offset(at);
    const from = start + 4;
    const to = from + size * this.#bytes.readUInt32LE(start);
    if (to > this.#bytes.length) throw new ProtocolError('a vector that ends outside the payload');
    return [from, to];
  }

  #spend(cost: number): void {
    this.#budget -= cost;
    if (this.#budget < 0) throw new ProtocolError('a payload that unfolds to more than it holds');
  }
}
