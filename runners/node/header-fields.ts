/** Header fields that came, and what a plugin changes of them: the contract of HeaderFields, and the difference for the gateway. */
import type { HeaderFields } from '../../src/plugin/exchange.ts';
import type { TextEntry } from '../../src/plugin/runners/runners.ts';

/** RFC 9110 §5.1. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5: one byte a character, no control but HTAB. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

export class ChangedHeaders implements HeaderFields {
  #fields: readonly (readonly [string, string])[] | undefined;
  readonly #came: readonly TextEntry[];
  /** Lower-case names. undefined: nothing was changed. */
  #changed: Set<string> | undefined;

  constructor(came: readonly TextEntry[]) {
    this.#came = came;
  }

  get(name: string): string | undefined {
    return this.#all().find(([field]) => same(field, name))?.[1];
  }
  getAll(name: string): string[] {
    return this.#all()
      .filter(([field]) => same(field, name))
      .map(([, value]) => value);
  }
  has(name: string): boolean {
    return this.get(name) !== undefined;
  }
  set(name: string, value: string): void {
    assertField(name, value);
    this.#change(name, [[name, value]]);
  }
  append(name: string, value: string): void {
    assertField(name, value);
    this.#change(name, [...this.#all().filter(([field]) => same(field, name)), [name, value]]);
  }
  remove(name: string): void {
    assertField(name, '');
    this.#change(name, []);
  }
  entries(): Iterable<readonly [string, string]> {
    return this.#all();
  }

  /** What the gateway is to do: a name without a value is removed, the first of a name replaces what came. */
  changes(): TextEntry[] {
    const changes: TextEntry[] = [];
    for (const name of this.#changed ?? []) {
      const fields = this.#all().filter(([field]) => same(field, name));
      if (fields.length === 0) changes.push([name, undefined]);
      else changes.push(...fields);
    }
    return changes;
  }

  #change(name: string, fields: readonly (readonly [string, string])[]): void {
    this.#fields = [...this.#all().filter(([field]) => !same(field, name)), ...fields];
    (this.#changed ??= new Set()).add(name.toLowerCase());
  }

  #all(): readonly (readonly [string, string])[] {
    this.#fields ??= this.#came.map(([name, value = '']) => [name, value]);
    return this.#fields;
  }
}

function same(a: string, b: string): boolean {
  return a.length === b.length && a.toLowerCase() === b.toLowerCase();
}

function assertField(name: string, value: string): void {
  if (!token.test(name)) throw new TypeError(`invalid header name ${JSON.stringify(name)}`);
  if (!fieldValue.test(value)) throw new TypeError(`invalid value of header ${name}`);
}
