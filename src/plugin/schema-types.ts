/** From a schema to the type of the configuration it lets through: literal JSON Schema, TypeBox, and Standard Schema (zod, valibot …). */
import type { JsonSchema } from '../resources/resource.ts';

/** What standardschema.dev asks of a library's schema; `jsonSchema` is offered by some. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    readonly jsonSchema?: { readonly input: (options: { readonly target: 'draft-07' }) => Record<string, unknown> };
  };
}
export type StandardResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type SchemaLike = JsonSchema | StandardSchema;

/** The configuration as a plugin's `compile` gets it: valid, defaults filled in. `unknown` parts where the schema says nothing. */
export type ConfigOf<S> = S extends { readonly '~standard': { readonly types?: infer T } }
  ? NonNullable<T> extends { readonly output: infer Output }
    ? Output
    : unknown
  : S extends { readonly static: infer Static }
    ? Static
    : FromSchema<S>;

/** A literal JSON Schema's type; keywords that narrow no type (minimum, pattern …) are skipped. */
export type FromSchema<S> = S extends { readonly const: infer C }
  ? C
  : S extends { readonly enum: readonly (infer E)[] }
    ? E
    : S extends { readonly oneOf: readonly (infer O)[] }
      ? S extends { readonly properties: object }
        ? FromObject<S>
        : FromSchema<O>
      : S extends { readonly anyOf: readonly (infer O)[] }
        ? S extends { readonly properties: object }
          ? FromObject<S>
          : FromSchema<O>
        : S extends { readonly type: infer T }
          ? FromType<S, T extends readonly (infer One)[] ? One : T>
          : S extends { readonly properties: object }
            ? FromObject<S>
            : unknown;

type FromType<S, T> = T extends 'string'
  ? string
  : T extends 'integer' | 'number'
    ? number
    : T extends 'boolean'
      ? boolean
      : T extends 'null'
        ? null
        : T extends 'array'
          ? S extends { readonly items: infer I }
            ? FromSchema<I>[]
            : unknown[]
          : T extends 'object'
            ? FromObject<S>
            : unknown;

type FromObject<S> = S extends { readonly properties: infer P }
  ? Flat<
      { -readonly [K in keyof P as K extends PresentKeys<S, P> ? K : never]: FromSchema<P[K]> } & {
        -readonly [K in keyof P as K extends PresentKeys<S, P> ? never : K]?: FromSchema<P[K]>;
      }
    >
  : S extends { readonly additionalProperties: infer A extends object }
    ? Record<string, FromSchema<A>>
    : Record<string, unknown>;

/** Required, or filled in by a default. */
type PresentKeys<S, P> =
  | (S extends { readonly required: readonly (infer R)[] } ? R : never)
  | { [K in keyof P]: P[K] extends { readonly default: unknown } ? K : never }[keyof P];

type Flat<T> = { [K in keyof T]: T[K] };
