/** custom-auth's configuration: the fields of the cloud gateway's plugin as they are there, and where the function lives. */
import { ConfigError } from '../../errors/gateway-error.ts';
import { checkReference } from '../../plugin/functions.ts';
import { headerLiteral } from '../../plugin/header-operations.ts';
import { httpClientSchema } from '../../plugin/http-client/index.ts';
import type { JsonSchema } from '../../resources/resource.ts';

export type KeyInput = 'method' | 'host' | 'path' | 'remote_addr' | 'body';

export interface HttpFunction {
  readonly type: 'http';
  readonly uri: string;
  readonly headers?: Readonly<Record<string, string>>;
}
/** Tencent Cloud's Serverless Cloud Function, by its Invoke API. */
export interface TencentFunction {
  readonly type: 'tencent-scf';
  readonly region: string;
  readonly secret_id: string;
  readonly secret_key: string;
  readonly token?: string;
  readonly endpoint?: string;
}
export interface LambdaFunction {
  readonly type: 'aws-lambda';
  readonly region: string;
  readonly access_key_id: string;
  readonly secret_access_key: string;
  readonly session_token?: string;
  readonly endpoint?: string;
}
export type FunctionConfig = { readonly type: 'module' } | HttpFunction | TencentFunction | LambdaFunction;

export interface Config {
  cache_time: number;
  endpoint_timeout: number;
  func_name?: string;
  func_namespace?: string;
  func_qualifier?: string;
  is_send_body: boolean;
  header_auth_parameters?: string[];
  query_auth_parameters?: string[];
  user_id?: number;
  version?: string;
  function: FunctionConfig;
  cache_key: KeyInput[];
  max_body_size: number;
  upstream_headers: string[];
  rejected_code: number;
  rejected_msg: string;
  challenge: string;
}

/** How long a call may take is `endpoint_timeout`, how long an answer may be is fixed. */
const { timeout: _timeout, max_response_body: _maxResponseBody, ...clientSchema } = httpClientSchema;
const text = { type: 'string', minLength: 1 };
const url = { type: 'string', pattern: '^https?://.+' };
const headerName = { type: 'string', pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" };

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    cache_time: {
      type: 'integer',
      minimum: 0,
      maximum: 3600,
      description: 'Seconds that a verdict is kept; 0: every request asks.',
    },
    endpoint_timeout: {
      type: 'integer',
      minimum: 0,
      maximum: 1800,
      description: 'Seconds that the function may take; 0: as long as may be, 1800.',
    },
    func_name: { type: 'string', minLength: 1, description: 'The function’s name.' },
    func_namespace: { type: 'string', minLength: 1, description: 'The namespace that it is in.' },
    func_qualifier: { type: 'string', minLength: 1, description: 'Its version; `$LATEST` is the newest.' },
    is_send_body: { type: 'boolean', description: 'Send the request’s body to the function, too.' },
    header_auth_parameters: {
      type: 'array',
      items: headerName,
      description: 'Headers that a verdict is kept by. With `cache_time`, one of these lists must not be empty.',
    },
    query_auth_parameters: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      description: 'Query parameters that a verdict is kept by.',
    },
    user_id: { type: 'integer', minimum: 0, description: 'The owner’s number. Kept as it is; nothing depends on it.' },
    version: {
      type: 'string',
      pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$',
      description:
        'When this configuration was made, `yyyy-MM-dd HH:mm:ss`. Another one drops what was kept, as any change does.',
    },
    function: {
      type: 'object',
      default: { type: 'module' },
      description: 'Where the function lives.',
      properties: {
        type: {
          type: 'string',
          enum: ['module', 'http', 'tencent-scf', 'aws-lambda'],
          default: 'module',
          description:
            '`module`: a file in the function directory; `http`: any URL; `tencent-scf` and `aws-lambda`: a function of these clouds.',
        },
        uri: { ...url, description: '`http`: where the event is sent by POST.' },
        headers: {
          type: 'object',
          additionalProperties: { type: 'string' },
          description: '`http`: headers to send with it.',
        },
        region: { ...text, description: 'The clouds: the region that the function is in.' },
        endpoint: {
          ...url,
          description:
            'The clouds: instead of `https://scf.tencentcloudapi.com` or `https://lambda.REGION.amazonaws.com`.',
        },
        secret_id: { ...text, description: '`tencent-scf`: SecretId.' },
        secret_key: { ...text, description: '`tencent-scf`: SecretKey.' },
        token: { ...text, description: '`tencent-scf`: token of temporary credentials.' },
        access_key_id: { ...text, description: '`aws-lambda`: access key id.' },
        secret_access_key: { ...text, description: '`aws-lambda`: secret access key.' },
        session_token: { ...text, description: '`aws-lambda`: token of temporary credentials.' },
        ...clientSchema,
      },
      additionalProperties: false,
    },
    cache_key: {
      type: 'array',
      uniqueItems: true,
      items: { type: 'string', enum: ['method', 'host', 'path', 'remote_addr', 'body'] },
      default: ['method', 'host', 'path', 'remote_addr', 'body'],
      description:
        'What a verdict is kept by beside the verification parameters. Leave out only what the function does not look at.',
    },
    max_body_size: {
      type: 'integer',
      minimum: 1,
      maximum: 67_108_864,
      default: 1_048_576,
      description: 'Bytes of a body that may be sent; a larger one is refused with 413, and the function not asked.',
    },
    upstream_headers: {
      type: 'array',
      items: headerName,
      default: [],
      description: 'Headers that only the function may set: what a client sends under these names is always removed.',
    },
    rejected_code: {
      type: 'integer',
      minimum: 400,
      maximum: 599,
      default: 401,
      description: 'Status of a refusal.',
    },
    rejected_msg: {
      type: 'string',
      minLength: 1,
      default: 'Verification failed',
      description: 'Message of a refusal.',
    },
    challenge: {
      type: 'string',
      // RFC 9110 §11.6.1: a scheme, and perhaps parameters; nothing that ends the line.
      pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+( [\\x20-\\x7e]*[\\x21-\\x7e])?$",
      default: 'custom realm="custom"',
      description:
        'WWW-Authenticate of a refusal with 401 (RFC 9110 §11.6.1): the scheme that the function wants, such as `Bearer realm="shop"`.',
    },
  },
  required: ['cache_time', 'endpoint_timeout', 'is_send_body'],
  encrypt_fields: ['ssl_key', 'headers', 'secret_key', 'token', 'secret_access_key', 'session_token'].map(
    (name) => `function.${name}`,
  ),
};

/** What the schema cannot say. Throws ConfigError that names the field. */
export function checkConfig(config: Config): void {
  const { header_auth_parameters: headers = [], query_auth_parameters: queries = [] } = config;
  if (config.cache_time > 0 && headers.length === 0 && queries.length === 0) {
    throw new ConfigError(
      'header_auth_parameters: cache_time is not 0, so it or query_auth_parameters must name what verdicts are kept by',
    );
  }
  const { func_namespace: namespace, func_name: name, func_qualifier: qualifier, function: where } = config;
  for (const field of neededBy[where.type]) {
    if (!Object.hasOwn(where, field)) throw new ConfigError(`function.${field}: is required for type ${where.type}`);
  }
  for (const field of Object.keys(where)) {
    const owners = Object.entries(fieldsOf).filter(([, fields]) => fields.includes(field));
    if (owners.length > 0 && !owners.some(([type]) => type === where.type))
      throw new ConfigError(`function.${field}: is not for type ${where.type}`);
  }
  if (where.type === 'http')
    for (const [header, value] of Object.entries(where.headers ?? {})) headerLiteral('function.headers', header, value);
  // A URL says what it runs.
  if (where.type === 'http') return;
  // Lambda knows no namespaces.
  if (where.type !== 'aws-lambda' && namespace === undefined) throw new ConfigError('func_namespace: is required');
  if (name === undefined) throw new ConfigError('func_name: is required');
  if (qualifier === undefined) throw new ConfigError('func_qualifier: is required');
  if (where.type === 'module') checkReference({ namespace: namespace ?? '', name, qualifier });
}

/** Fields that one type has and the others do not. */
const fieldsOf: Readonly<Record<FunctionConfig['type'], readonly string[]>> = {
  module: [],
  http: ['uri', 'headers'],
  'tencent-scf': ['region', 'endpoint', 'secret_id', 'secret_key', 'token'],
  'aws-lambda': ['region', 'endpoint', 'access_key_id', 'secret_access_key', 'session_token'],
};
const neededBy: Readonly<Record<FunctionConfig['type'], readonly string[]>> = {
  module: [],
  http: ['uri'],
  'tencent-scf': ['region', 'secret_id', 'secret_key'],
  'aws-lambda': ['region', 'access_key_id', 'secret_access_key'],
};
