/** The http client, for plugins. */
export { httpClientSchema, httpClientSecretFields } from './schema.ts';
export { pickHttpClientOptions } from './options.ts';
export { HttpClientError, type HttpClientErrorCode } from './http-client-error.ts';
export type {
  HttpClient,
  HttpClientOptions,
  HttpClients,
  HttpRequest,
  HttpResponse,
  HttpResponseHeaders,
  TlsProtocol,
} from './http-client.ts';
