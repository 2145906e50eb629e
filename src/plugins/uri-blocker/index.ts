/**
 * uri-blocker: refuses requests whose URI, query included, holds one of the patterns. Runs in `rewrite`.
 * APISIX: patterns are searched in the normalised path as well as in the target as received, so that `%2e`, `//` or `/./`
 * do not carry a request past a rule.
 */
import { compileRegex } from '../../expression/regex.ts';
import { definePlugin, type Reply } from '../../plugin/plugin.ts';

interface Config {
  block_rules: string[];
  rejected_code: number;
  rejected_msg?: string;
  case_insensitive: boolean;
}

interface State {
  readonly rules: readonly RegExp[];
  readonly refusal: Reply;
}

export const uriBlocker = definePlugin<Config, State>({
  name: 'uri-blocker',
  priority: 2900,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      block_rules: {
        type: 'array',
        uniqueItems: true,
        items: { type: 'string', minLength: 1, maxLength: 4096 },
        description: 'Patterns (PCRE) searched in the URI.',
      },
      rejected_code: { type: 'integer', minimum: 200, default: 403, description: 'Status of a refusal.' },
      rejected_msg: { type: 'string', minLength: 1, description: 'Message of a refusal; default: no body.' },
      case_insensitive: { type: 'boolean', default: false, description: 'Upper and lower case are one.' },
    },
    required: ['block_rules'],
  },

  compile(config) {
    const { rejected_code: status, rejected_msg: message } = config;
    const reason = 'uri-blocker.blocked';
    return {
      rules: config.block_rules.map((rule) => compileRegex(rule, config.case_insensitive ? 'i' : '')),
      refusal: message === undefined ? { status, reason } : { status, reason, body: { error_msg: message } },
    };
  },

  rewrite({ rules, refusal }, exchange) {
    const { target, path, query } = exchange;
    for (const rule of rules) if (rule.test(target)) return refusal;
    // The usual target is the path itself, and the query.
    if (target.startsWith(path) && target.length - path.length === (query === '' ? 0 : query.length + 1))
      return undefined;
    const normalised = query === '' ? path : `${path}?${query}`;
    for (const rule of rules) if (rule.test(normalised)) return refusal;
    return undefined;
  },
});
