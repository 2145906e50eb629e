/**
 * The options of an http client: checked, with their defaults. Once a change, in `compile`.
 * A name that is none of them is refused with the one that was probably meant: an option that is ignored in silence (a client
 * certificate that is never sent) is the hardest kind of failure to find.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import type { JsonSchema } from '../../resources/resource.ts';
import type { HttpClientOptions, TlsProtocol } from './http-client.ts';
import { suggestOption } from './misspelt-options.ts';
import { certificatesOf, pairOf, pemSource, privateKeyOf, type PemSource } from './pem-source.ts';
import { PemError } from './pem.ts';
import { httpClientSchema } from './schema.ts';

/** Every option, with what stands where it was not given. */
export interface CheckedOptions {
  readonly verify: boolean;
  readonly cert: PemSource | undefined;
  readonly key: PemSource | undefined;
  readonly ca: PemSource | undefined;
  readonly serverName: string | undefined;
  readonly protocols: readonly TlsProtocol[];
  readonly connectTimeoutMs: number;
  readonly timeoutMs: number;
  readonly keepAlive: boolean;
  readonly keepAliveTimeoutMs: number;
  readonly keepAlivePool: number;
  readonly retries: number;
  readonly maxResponseBytes: number;
}

const bothProtocols: readonly TlsProtocol[] = ['TLSv1.2', 'TLSv1.3'];

/** Throws ConfigError. Reads no files: what a path leads to is seen when it is first used. */
export function checkOptions(options: HttpClientOptions): CheckedOptions {
  for (const [name, value] of Object.entries(options)) {
    const schema = (httpClientSchema as Record<string, JsonSchema | undefined>)[name];
    if (schema === undefined) throw unknownOption(name);
    if (value !== undefined) checkValue(name, value, schema);
  }
  const { ssl_cert, ssl_key, ssl_server_name: serverName } = options;
  if (ssl_cert !== undefined && ssl_key === undefined)
    throw new ConfigError('ssl_cert: needs ssl_key, the private key of the certificate');
  if (ssl_key !== undefined && ssl_cert === undefined)
    throw new ConfigError('ssl_key: needs ssl_cert, the certificate of the key');
  if (serverName !== undefined && !isHostName(serverName))
    throw new ConfigError('ssl_server_name: must be a host name; addresses are not sent as SNI (RFC 6066 §3)');
  return {
    verify: options.ssl_verify ?? true,
    ...checkPem(options),
    serverName,
    protocols: [...(options.ssl_protocols ?? bothProtocols)].sort(),
    connectTimeoutMs: options.connect_timeout ?? 2000,
    timeoutMs: options.timeout ?? 3000,
    keepAlive: options.keepalive ?? true,
    keepAliveTimeoutMs: options.keepalive_timeout ?? 60_000,
    keepAlivePool: options.keepalive_pool ?? 5,
    retries: options.retries ?? 1,
    maxResponseBytes: options.max_response_body ?? 1_048_576,
  };
}

/**
 * The client's options out of a plugin's configuration that holds them beside its own fields. Throws ConfigError for a field that
 * looks like one of them and is none; `own`: the plugin's fields, which are left alone.
 */
export function pickHttpClientOptions(
  config: Readonly<Record<string, unknown>>,
  own: readonly string[] = [],
): HttpClientOptions {
  const picked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) {
    if (own.includes(name) || name === '_meta') continue;
    if (Object.hasOwn(httpClientSchema, name)) picked[name] = value;
    else if (suggestOption(name) !== undefined) throw unknownOption(name);
  }
  return picked;
}

function checkPem({ ssl_cert, ssl_key, ssl_ca }: HttpClientOptions): Pick<CheckedOptions, 'cert' | 'key' | 'ca'> {
  try {
    const [cert, key, ca] = [
      ssl_cert === undefined ? undefined : pemSource('ssl_cert', ssl_cert),
      ssl_key === undefined ? undefined : pemSource('ssl_key', ssl_key),
      ssl_ca === undefined ? undefined : pemSource('ssl_ca', ssl_ca),
    ];
    const chain = cert?.kind === 'text' ? certificatesOf(cert, cert.value) : undefined;
    const secret = key?.kind === 'text' ? privateKeyOf(key, key.value) : undefined;
    if (chain !== undefined && secret !== undefined) pairOf(chain, secret);
    if (ca?.kind === 'text') certificatesOf(ca, ca.value);
    return { cert, key, ca };
  } catch (error) {
    if (error instanceof PemError) throw new ConfigError(error.message, { cause: error });
    throw error;
  }
}

function unknownOption(name: string): ConfigError {
  const suggestion = suggestOption(name);
  const hint = suggestion === undefined ? '' : `; ${suggestion}`;
  return new ConfigError(`${name}: the http client has no such option${hint}`);
}

function checkValue(name: string, value: unknown, schema: JsonSchema): void {
  const { type, minimum, maximum } = schema as { type?: string; minimum?: number; maximum?: number };
  if (type === 'integer') {
    const [least, most] = [minimum ?? 0, maximum ?? Infinity];
    if (!Number.isSafeInteger(value) || Number(value) < least || Number(value) > most) {
      const range = maximum === undefined ? `of at least ${least}` : `from ${least} to ${maximum}`;
      throw new ConfigError(`${name}: must be an integer ${range}`);
    }
  } else if (type === 'array') {
    const known =
      Array.isArray(value) && value.length > 0 && value.every((one) => bothProtocols.includes(one as TlsProtocol));
    if (!known) throw new ConfigError(`${name}: must be a list of TLSv1.2 and TLSv1.3`);
  } else if (typeof value !== type || value === '') {
    throw new ConfigError(`${name}: must be a ${type === 'boolean' ? 'boolean' : 'string that is not empty'}`);
  }
}

function isHostName(name: string): boolean {
  return (
    /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*$/.test(
      name,
    ) && !/^[\d.]+$/.test(name)
  );
}
