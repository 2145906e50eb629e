/**
 * Writes of one turn of the event loop, sent together at its end. Sockets that share a peer process then wake it once, not once
 * each: on a busy gateway the wake-up is the dearest part of a small write. Adds nothing to an idle one's latency but the
 * rest of the turn.
 */

export interface Flushable {
  /** Sends what has gathered. Must not throw. */
  flushWrites(): void;
}

export class WriteQueue {
  #items: Flushable[] = [];
  #spare: Flushable[] = [];
  #scheduled = false;
  readonly #run = (): void => {
    this.#scheduled = false;
    const items = this.#items;
    this.#items = this.#spare;
    for (const item of items) item.flushWrites();
    items.length = 0;
    this.#spare = items;
  };

  /** Once a turn for each item: the item keeps track. */
  add(item: Flushable): void {
    this.#items.push(item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }
}
