/** How the limiting plugins refuse (`rejected_code` and `rejected_msg`), and the restricting ones (`message`): the same in all of them. */
import type { JsonSchema } from '../resources/resource.ts';
import type { Reply } from './plugin.ts';

export interface RejectionConfig {
  rejected_code: number;
  rejected_msg?: string;
}

/** To spread into a plugin's `properties`. */
export const rejectionProperties = {
  rejected_code: { type: 'integer', minimum: 200, maximum: 599, default: 503, description: 'Status of a refusal.' },
  rejected_msg: { type: 'string', minLength: 1, description: 'Message of a refusal; default: no body.' },
} satisfies Record<string, JsonSchema>;

/** `message` of a plugin that restricts. */
export function messageSchema(otherwise: string): JsonSchema {
  return { type: 'string', minLength: 1, maxLength: 1024, default: otherwise, description: 'Message of a refusal.' };
}

export function compileRejection(config: RejectionConfig, reason: string): Reply {
  const { rejected_code: status, rejected_msg: message } = config;
  return message === undefined ? { status, reason } : { status, reason, body: { error_msg: message } };
}
