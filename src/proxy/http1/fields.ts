/**
 * Header fields of one message, in order, as parallel arrays: cheap to fill from the parser and to walk when serialising.
 * Invariant: every name is a token and every value has passed `isValidFieldValue`, so serialising cannot inject a line.
 */
import type { HeaderFields } from '../../plugin/exchange.ts';
import { isValidFieldName, isValidFieldValue } from './characters.ts';
import { type FieldName, fieldName } from './field-names.ts';

export class Fields implements HeaderFields {
  /** Names as received. */
  readonly names: string[];
  readonly known: FieldName[];
  readonly values: string[];

  /** `count`: fields that the parser, which checks them, fills in at once. */
  constructor(count = 0) {
    this.names = new Array<string>(count);
    this.known = new Array<FieldName>(count);
    this.values = new Array<string>(count);
  }

  /** For names and values that were checked. */
  add(name: string, known: FieldName, value: string): void {
    this.names.push(name);
    this.known.push(known);
    this.values.push(value);
  }

  get(name: string): string | undefined {
    const index = this.#indexOf(fieldName(name).lower);
    return index < 0 ? undefined : this.values[index];
  }

  getAll(name: string): string[] {
    const { lower } = fieldName(name);
    const { known, values } = this;
    const found: string[] = [];
    for (let i = 0; i < known.length; i++) if (known[i]?.lower === lower) found.push(values[i] ?? '');
    return found;
  }

  has(name: string): boolean {
    return this.#indexOf(fieldName(name).lower) >= 0;
  }

  set(name: string, value: string): void {
    assertField(name, value);
    const known = fieldName(name);
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
    assertField(name, value);
    this.add(name, fieldName(name), value);
  }

  remove(name: string): void {
    this.#removeFrom(fieldName(name).lower, 0);
  }

  *entries(): Generator<readonly [string, string]> {
    for (let i = 0; i < this.names.length; i++) yield [this.names[i] ?? '', this.values[i] ?? ''];
  }

  removeAt(index: number): void {
    this.names.splice(index, 1);
    this.known.splice(index, 1);
    this.values.splice(index, 1);
  }

  #indexOf(lower: string): number {
    const { known } = this;
    for (let i = 0; i < known.length; i++) if (known[i]?.lower === lower) return i;
    return -1;
  }

  #removeFrom(lower: string, from: number): void {
    for (let i = this.known.length - 1; i >= from; i--) if (this.known[i]?.lower === lower) this.removeAt(i);
  }
}

function assertField(name: string, value: string): void {
  if (!isValidFieldName(name)) throw new TypeError(`invalid header field name ${JSON.stringify(name.slice(0, 64))}`);
  // The value is not shown: it may be a secret.
  if (!isValidFieldValue(value)) throw new TypeError(`invalid character in the value of header field ${name}`);
}
