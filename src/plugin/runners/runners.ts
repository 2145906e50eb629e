/**
 * What a plugin sees of plugin runners: processes beside the gateway that judge requests and responses in other languages.
 * `src/runners/` implements it. Text is Latin-1, each character one byte as it came or goes.
 */
import { ConfigError } from '../../errors/gateway-error.ts';

/** Name and value; undefined: there is no value, which in an answer means that the name is to be removed. */
export type TextEntry = readonly [name: string, value: string | undefined];

export interface RunnerRequest {
  readonly sourceAddress: string;
  readonly method: string;
  /** Percent-decoded. */
  readonly path: string;
  readonly args: readonly TextEntry[];
  readonly headers: readonly TextEntry[];
}

export interface RunnerResponse {
  readonly status: number;
  readonly headers: readonly TextEntry[];
}

/** What a runner may ask in the midst of a call. A rejection ends the call with that error. */
export interface RunnerInformation {
  variable(name: string): string | undefined;
  /** undefined: it is not at hand any more. */
  requestBody(): Promise<Uint8Array> | undefined;
  /** undefined: there is no response yet. */
  responseBody(): Promise<Uint8Array> | undefined;
}

export type RequestVerdict =
  | { readonly action: 'none' }
  | {
      readonly action: 'stop';
      /** 0: not given. */
      readonly status: number;
      readonly headers: readonly TextEntry[];
      readonly body: Uint8Array | undefined;
    }
  | {
      readonly action: 'rewrite';
      readonly path: string | undefined;
      readonly headers: readonly TextEntry[];
      readonly args: readonly TextEntry[];
      readonly responseHeaders: readonly TextEntry[];
      readonly body: Uint8Array | undefined;
    };

export interface ResponseVerdict {
  /** 0: as it is. */
  readonly status: number;
  readonly headers: readonly TextEntry[];
  readonly body: Uint8Array | undefined;
}

/** One configuration in one runner. */
export interface RunnerSession {
  /** Reject with RunnerError, or with what `information` rejected with. */
  request(call: RunnerRequest, information: RunnerInformation): Promise<RequestVerdict>;
  response(call: RunnerResponse, information: RunnerInformation): Promise<ResponseVerdict>;
}

export interface Runners {
  /**
   * `runner` undefined: the one that the settings give without a name. Does nothing before the first call.
   * Throws ConfigError where the settings know no such runner, or say that it has no such plugin.
   */
  session(runner: string | undefined, conf: readonly TextEntry[]): RunnerSession;
  /** Largest body that can be handed to a runner, bytes. */
  readonly maxBodyBytes: number;
}

/** Where the settings give no runner. */
export const noRunners: Runners = {
  session() {
    throw new ConfigError('there is no plugin runner: set ext-plugin.cmd in the settings');
  },
  maxBodyBytes: 0,
};

/** Ends of `ext-plugin-*.…` reason codes. */
export type RunnerFailure =
  'runner_unreachable' | 'runner_timeout' | 'runner_protocol' | 'runner_refused' | 'runner_busy' | 'runner_unsupported';

/** A call that came to no verdict. The message is for the operator. */
export class RunnerError extends Error {
  override readonly name = 'RunnerError';
  readonly failure: RunnerFailure;

  constructor(failure: RunnerFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}
