/** secret: how to reach a secret manager; stored under `secrets/{manager}/{id}` (APISIX: admin-api, Secret). */
import type { JsonSchema, ResourceFields } from './resource.ts';
import { commonProperties } from './schema-definitions.ts';

/** Its id is `{manager}/{id}`, which the pattern of other ids does not allow. */
const properties = { ...commonProperties, id: { type: 'string', maxLength: 128 } };

export type Secret = ResourceFields & Record<string, unknown>;

const uri: JsonSchema = { type: 'string', pattern: '^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?' };
const hidden: JsonSchema = { type: 'string', writeOnly: true };

/** The schema of each manager that can be stored, by its name in the path. */
export const secretSchemas: ReadonlyMap<string, JsonSchema> = new Map([
  [
    'vault',
    {
      type: 'object',
      properties: {
        ...properties,
        uri,
        prefix: { type: 'string' },
        token: hidden,
        namespace: { type: 'string' },
        kv_version: {
          description: 'version of the KV engine at prefix; without it, the prefix is used as it is',
          type: 'integer',
          enum: [1, 2],
        },
      },
      required: ['uri', 'prefix', 'token'],
    },
  ],
  [
    'aws',
    {
      type: 'object',
      properties: {
        ...properties,
        access_key_id: { type: 'string' },
        secret_access_key: hidden,
        session_token: hidden,
        region: { type: 'string', default: 'us-east-1' },
        endpoint_url: uri,
      },
      required: ['access_key_id', 'secret_access_key'],
    },
  ],
  [
    'gcp',
    {
      type: 'object',
      properties: {
        ...properties,
        auth_config: {
          type: 'object',
          properties: {
            client_email: { type: 'string' },
            private_key: hidden,
            project_id: { type: 'string' },
            token_uri: { type: 'string', default: 'https://oauth2.googleapis.com/token' },
            entries_uri: { type: 'string', default: 'https://secretmanager.googleapis.com/v1' },
            scope: {
              type: 'array',
              items: { type: 'string' },
              default: ['https://www.googleapis.com/auth/cloud-platform'],
            },
          },
          required: ['client_email', 'private_key', 'project_id'],
        },
        auth_file: { type: 'string' },
        ssl_verify: { type: 'boolean', default: true },
      },
      oneOf: [{ required: ['auth_config'] }, { required: ['auth_file'] }],
    },
  ],
]);
