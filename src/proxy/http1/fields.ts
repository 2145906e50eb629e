/**
 * Header fields of one message, in order, as parallel arrays: cheap to fill from the parser and to walk when serialising.
 * Only the first `length` of each array count; there is room behind them, so that a plugin's first fields grow nothing.
 * Invariant: every name is a token and every value has passed `isValidFieldValue`, so serialising cannot inject a line.
 */
import type { HeaderFields } from '../../plugin/exchange.ts';
import { isValidFieldValue } from './characters.ts';
import { type FieldName, fieldName } from './field-names.ts';

/** Fields that can be added before the arrays grow. */
const room = 4;

export class Fields implements HeaderFields {
  /** Names as received. */
  readonly names: string[];
  readonly known: FieldName[];
  readonly values: string[];
  length: number;

  /** `count`: fields that the parser, which checks them, fills in at once. */
  constructor(count = 0) {
    this.names = new Array<string>(count + room);
    this.known = new Array<FieldName>(count + room);
    this.values = new Array<string>(count + room);
    this.length = count;
  }

  /** For names and values that were checked. */
  add(name: string, known: FieldName, value: string): void {
    const index = this.length++;
    this.names[index] = name;
    this.known[index] = known;
    this.values[index] = value;
  }

  get(name: string): string | undefined {
    const index = this.#indexOf(fieldName(name).lower);
    return index < 0 ? undefined : this.values[index];
  }

  getAll(name: string): string[] {
    const { lower } = fieldName(name);
    const { known, values, length } = this;
    const found: string[] = [];
    for (let i = 0; i < length; i++) if (known[i]?.lower === lower) found.push(values[i] ?? '');
    return found;
  }

  has(name: string): boolean {
    return this.#indexOf(fieldName(name).lower) >= 0;
  }

  set(name: string, value: string): void {
    const known = fieldName(name);
    assertField(known, name, value);
    const index = this.#indexOf(known.lower);
    if (index < 0) {
      this.add(name, known, value);
      return;
    }
    this.names[index] = name;
    this.values[index] = value;
    this.#removeFrom(known.lower, index + 1);
  }

  append(name: string, value: string): void {
    const known = fieldName(name);
    assertField(known, name, value);
    this.add(name, known, value);
  }

  remove(name: string): void {
    this.#removeFrom(fieldName(name).lower, 0);
  }

  *entries(): Generator<readonly [string, string]> {
    for (let i = 0; i < this.length; i++) yield [this.names[i] ?? '', this.values[i] ?? ''];
  }

  removeAt(index: number): void {
    const { names, known, values } = this;
    const last = --this.length;
    for (let i = index; i < last; i++) {
      names[i] = names[i + 1] as string;
      known[i] = known[i + 1] as FieldName;
      values[i] = values[i + 1] as string;
    }
  }

  #indexOf(lower: string): number {
    const { known, length } = this;
    for (let i = 0; i < length; i++) if (known[i]?.lower === lower) return i;
    return -1;
  }

  #removeFrom(lower: string, from: number): void {
    for (let i = this.length - 1; i >= from; i--) if (this.known[i]?.lower === lower) this.removeAt(i);
  }
}

function assertField(known: FieldName, name: string, value: string): void {
  if (!known.isToken) throw new TypeError(`invalid header field name ${JSON.stringify(name.slice(0, 64))}`);
  // The value is not shown: it may be a secret.
  if (!isValidFieldValue(value)) throw new TypeError(`invalid character in the value of header field ${name}`);
}
