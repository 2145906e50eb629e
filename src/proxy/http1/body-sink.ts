/** Who receives a body. Pieces belong to the connection: a sink that keeps one past the call copies it. */
import type { GatewayError } from '../../errors/gateway-error.ts';
import type { Fields } from './fields.ts';

export interface BodySink {
  onData(piece: Buffer): void;
  onEnd(trailers: Fields | undefined): void;
  /** The body will not be completed. */
  onError(error: GatewayError): void;
}
