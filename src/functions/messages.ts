/** What a function's thread and its worker say to each other. Short: it is said twice a call. */

/** A call: its number, the event as JSON, how long it may take. Or `ping`, which a thread answers unless it is stuck. */
export type ToFunction = readonly [id: number, event: string, timeoutMs: number] | 'ping';

export type FromFunction =
  | readonly [id: number, answer: string]
  /** `why`: for the operator. */
  | readonly [id: number, failed: 'threw' | 'unusable_answer', why: string]
  | 'pong'
  | 'ready'
  | { readonly loadFailed: string };

export interface FunctionThreadData {
  readonly file: string;
  readonly namespace: string;
  readonly name: string;
  readonly qualifier: string;
}
