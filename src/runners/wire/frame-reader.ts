/**
 * Pieces of a byte stream → frames, one at a time. Keeps no more than the one frame that is under way: whatever length a peer
 * announces, memory is only taken by what has arrived.
 */

export interface Frame {
  readonly type: number;
  /** Its own bytes: nothing else holds on to them. */
  readonly payload: Buffer;
}

const headerBytes = 4;

export class FrameReader {
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** Bytes of a frame that is not complete yet. */
  get pending(): number {
    return this.#bytes;
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  /** The next whole frame; undefined: more bytes are needed. */
  next(): Frame | undefined {
    if (this.#bytes < headerBytes) return undefined;
    const first = this.#joined(headerBytes);
    const end = headerBytes + first.readUIntBE(1, 3);
    if (this.#bytes < end) return undefined;
    const whole = this.#joined(end);
    const rest = whole.subarray(end);
    const others = this.#pieces.slice(1);
    this.#pieces = rest.length === 0 ? others : [rest, ...others];
    this.#bytes -= end;
    return { type: whole[0] ?? 0, payload: whole.subarray(headerBytes, end) };
  }

  /** The first piece, made to hold `bytes` at least. */
  #joined(bytes: number): Buffer {
    const [first] = this.#pieces;
    if (first !== undefined && first.length >= bytes) return first;
    const whole = Buffer.concat(this.#pieces, this.#bytes);
    this.#pieces = [whole];
    return whole;
  }
}
