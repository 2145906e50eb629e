/**
 * acl: who may use a route, by labels of the consumer, or by a claim of a user from outside (`external_user` in the
 * exchange's context, set by an authentication that needs no consumer). Runs in `access`. Precedence: deny, then allow.
 * A consumer's verdict is worked out once, until its labels change.
 */
import { definePlugin, type Reply } from '../../plugin/plugin.ts';
import { compileFieldPath, type FieldPath } from './field-path.ts';
import { compileLabelParser, type LabelParser } from './label-values.ts';

interface Config {
  allow_labels?: Record<string, string[]>;
  deny_labels?: Record<string, string[]>;
  rejected_code: number;
  rejected_msg?: string;
  external_user_label_field: string;
  external_user_label_field_key?: string;
  external_user_label_field_parser?: 'segmented_text' | 'json' | 'table';
  external_user_label_field_separator?: string;
}

type Labels = ReadonlyMap<string, ReadonlySet<string>>;

interface State {
  readonly allow: Labels | undefined;
  readonly deny: Labels | undefined;
  readonly field: FieldPath;
  readonly fieldKey: string;
  readonly parseLabel: LabelParser;
  readonly parseField: LabelParser;
  readonly rejected: Reply;
  readonly missing: Reply;
  /** Labels of a consumer → whether it is let in. */
  readonly verdicts: WeakMap<object, boolean>;
}

const labels = {
  type: 'object',
  minProperties: 1,
  additionalProperties: { type: 'array', minItems: 1, items: { type: 'string' } },
};

export const acl = definePlugin<Config, State>({
  name: 'acl',
  priority: 2410,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      allow_labels: { ...labels, description: 'Label → values; only who has one of them is let in.' },
      deny_labels: { ...labels, description: 'Label → values; who has one of them is refused.' },
      rejected_code: { type: 'integer', minimum: 200, default: 403, description: 'Status of a refusal.' },
      rejected_msg: {
        type: 'string',
        description: 'Message of a refusal; default: `The consumer is forbidden.`',
      },
      external_user_label_field: {
        type: 'string',
        minLength: 1,
        default: 'groups',
        description: "Where an outside user's values stand: a name, or a path (`$.a.b`, `$..groups`).",
      },
      external_user_label_field_key: {
        type: 'string',
        minLength: 1,
        description: 'Label that these values count as; default: the field.',
      },
      external_user_label_field_parser: {
        type: 'string',
        enum: ['segmented_text', 'json', 'table'],
        description:
          'How the field is read: text with separators, a JSON list in a text, or a list; by default its look decides.',
      },
      external_user_label_field_separator: {
        type: 'string',
        minLength: 1,
        description: 'Separator of `segmented_text`, a regular expression.',
      },
    },
    anyOf: [{ required: ['allow_labels'] }, { required: ['deny_labels'] }],
    allOf: [
      {
        if: {
          required: ['external_user_label_field_parser'],
          properties: { external_user_label_field_parser: { const: 'segmented_text' } },
        },
        then: { required: ['external_user_label_field_separator'] },
      },
    ],
  },

  compile(config) {
    const { external_user_label_field: field, external_user_label_field_separator: separator } = config;
    return {
      allow: labelSets(config.allow_labels),
      deny: labelSets(config.deny_labels),
      field: compileFieldPath(field),
      fieldKey: config.external_user_label_field_key ?? field,
      parseLabel: compileLabelParser(undefined, undefined),
      parseField: compileLabelParser(config.external_user_label_field_parser, separator),
      rejected: {
        status: config.rejected_code,
        body: { message: config.rejected_msg ?? 'The consumer is forbidden.' },
        reason: 'acl.refused',
      },
      missing: { status: 401, body: { message: 'Missing authentication.' }, reason: 'acl.missing' },
      verdicts: new WeakMap(),
    };
  },

  access(state, exchange) {
    const { consumer } = exchange;
    if (consumer !== undefined) {
      let letIn = state.verdicts.get(consumer.labels);
      if (letIn === undefined) {
        letIn = allows(state, Object.entries(consumer.labels), state.parseLabel);
        state.verdicts.set(consumer.labels, letIn);
      }
      return letIn ? undefined : state.rejected;
    }
    const user = exchange.context.get('external_user');
    if (typeof user !== 'object' || user === null) return state.missing;
    return allows(state, [[state.fieldKey, state.field(user)]], state.parseField) ? undefined : state.rejected;
  },
});

function allows(state: State, entries: readonly (readonly [string, unknown])[], parse: LabelParser): boolean {
  if (state.deny !== undefined && hasOne(state.deny, entries, parse)) return false;
  return state.allow === undefined || hasOne(state.allow, entries, parse);
}

function hasOne(wanted: Labels, entries: readonly (readonly [string, unknown])[], parse: LabelParser): boolean {
  return entries.some(([name, value]) => {
    const values = wanted.get(name);
    return values !== undefined && parse(value).some((item) => values.has(item));
  });
}

function labelSets(config: Record<string, string[]> | undefined): Labels | undefined {
  return config && new Map(Object.entries(config).map(([name, values]) => [name, new Set(values)]));
}
