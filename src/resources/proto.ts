/** proto: a Protocol Buffers definition, text or base64 of a descriptor set (APISIX: admin-api, Proto). */
import type { JsonSchema, ResourceFields } from './resource.ts';
import { commonProperties } from './schema-definitions.ts';

export interface Proto extends ResourceFields {
  content: string;
}

export const protoSchema: JsonSchema = {
  type: 'object',
  properties: {
    ...commonProperties,
    content: { type: 'string', minLength: 1, maxLength: 1024 * 1024 },
  },
  required: ['content'],
  additionalProperties: false,
};
