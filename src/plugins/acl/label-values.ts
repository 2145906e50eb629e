/** The values of a label: a list, a JSON list in a text (`["a","b"]`), or text with separators (`a, b`). */
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileRegex } from '../../expression/regex.ts';

export type LabelParser = (value: unknown) => readonly string[];

/** `kind` undefined: the value's own look decides. Values that do not fit their kind are no values. */
export function compileLabelParser(
  kind: 'segmented_text' | 'json' | 'table' | undefined,
  separator: string | undefined,
): LabelParser {
  switch (kind) {
    case 'table':
      return (value) => (typeof value === 'string' ? [] : texts(value));
    case 'json':
      return (value) => (typeof value === 'string' ? fromJson(value) : []);
    case 'segmented_text': {
      if (separator === undefined) throw new ConfigError('segmented_text needs external_user_label_field_separator');
      const between = compileRegex(`\\s*(?:${separator})\\s*`);
      return (value) => (typeof value === 'string' ? value.split(between) : []);
    }
    case undefined:
      return (value) => {
        if (typeof value !== 'string') return texts(value);
        if (value.startsWith('[')) return fromJson(value);
        return value.includes(',') ? value.split(/\s*,\s*/) : [value];
      };
  }
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function fromJson(text: string): string[] {
  try {
    return texts(JSON.parse(text));
  } catch {
    return [];
  }
}
