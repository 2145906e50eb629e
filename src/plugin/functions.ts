/**
 * `deps.functions`: functions of the gateway's own operator, from the settings' function directory, each run in threads of its own.
 * `src/functions/` implements it. Texts go in and out; what they mean is between the plugin and the function.
 */
import { ConfigError } from '../errors/gateway-error.ts';

/** Names one version of a function. Namespace and name are folders and files: letters, digits, `_`, `-` and inner dots. */
export interface FunctionReference {
  readonly namespace: string;
  readonly name: string;
  /** `$LATEST`, or a version that lies beside it. */
  readonly qualifier: string;
}

export const latestVersion = '$LATEST';
const word = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9_-])?$/;

/** Names become folders and files, so they may hold nothing that leads elsewhere. Throws ConfigError. */
export function checkReference({ namespace, name, qualifier }: FunctionReference): void {
  if (!word.test(namespace)) throw new ConfigError('func_namespace: only letters, digits, _, - and inner dots');
  if (!word.test(name)) throw new ConfigError('func_name: only letters, digits, _, - and inner dots');
  if (qualifier !== latestVersion && !word.test(qualifier))
    throw new ConfigError(`func_qualifier: ${latestVersion}, or only letters, digits, _, - and inner dots`);
}

export interface Functions {
  /** Called in `compile`, with a reference that was checked: neither looks for the file nor starts anything. */
  acquire(reference: FunctionReference): FunctionHandle;
}

export interface FunctionHandle {
  /** Tells versions of the code apart, the same in all workers: what one decided is no other's verdict. Begins to look for the function. */
  revision(): string;
  /** `event`: JSON. Resolves to what the function returned, as JSON. Rejects with FunctionError, at the latest after `timeoutMs`. */
  call(event: string, timeoutMs: number): Promise<string>;
  /** Gives it back; further calls do nothing. Calls under way still end. */
  release(): void;
}

export type FunctionErrorCode =
  /** No such file, or no function directory. */
  | 'missing'
  /** The file cannot be loaded, or exports no function. */
  | 'load_failed'
  | 'threw'
  | 'timeout'
  /** It kept its thread busy beyond the limit, and was ended. */
  | 'stalled'
  | 'out_of_memory'
  /** Its thread ended while it was called. */
  | 'exited'
  /** Too many calls wait already. */
  | 'busy'
  /** What it returned is no JSON, or too much of it. */
  | 'unusable_answer';

/** The message is for the operator: it holds nothing of the request, nor what the function says of its own failure. */
export class FunctionError extends Error {
  override readonly name = 'FunctionError';
  readonly code: FunctionErrorCode;

  constructor(code: FunctionErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
