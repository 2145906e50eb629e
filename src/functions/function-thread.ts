/**
 * The thread of one function: loads its file, calls what it exports, answers. Wiring only; `running-function.ts` starts and ends it.
 * Of an error that the function throws only the kind and the place go out: its message may repeat what the client sent.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import type { FunctionContext } from '../plugin/authorizer/verification-event.ts';
import type { FromFunction, FunctionThreadData, ToFunction } from './messages.ts';

type Handler = (event: unknown, context: FunctionContext) => unknown;

/** Characters. */
const maxAnswer = 1_048_576;

const port = parentPort;
if (port === null) throw new Error('function-thread.ts runs as a worker thread');
const { file, namespace, name, qualifier } = workerData as FunctionThreadData;
const send = (message: FromFunction): void => {
  port.postMessage(message);
};

/** What a call may know beside the event. */
class CallContext implements FunctionContext {
  readonly namespace = namespace;
  readonly name = name;
  readonly qualifier = qualifier;
  readonly deadline: number;
  readonly #timeoutMs: number;
  #signal: AbortSignal | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.deadline = Date.now() + timeoutMs;
  }
  get signal(): AbortSignal {
    return (this.#signal ??= AbortSignal.timeout(this.#timeoutMs));
  }
}

/** The default export, or `main_handler`, or `handler`; also of a CommonJS module. */
function handlerOf(exported: Record<string, unknown>): Handler | undefined {
  const inner = exported['default'];
  const candidates = [inner, exported['main_handler'], exported['handler']];
  if (typeof inner === 'object' && inner !== null) {
    const { main_handler, handler } = inner as Record<string, unknown>;
    candidates.push(main_handler, handler);
  }
  return candidates.find((candidate) => typeof candidate === 'function') as Handler | undefined;
}

/** `TypeError at check.ts:12:5`. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = /(?:\(|at )(?:file:\/\/)?([^()\s]+:\d+:\d+)\)?$/m.exec(error.stack ?? '')?.[1];
  return place === undefined ? error.name : `${error.name} at ${path.basename(place)}`;
}

/** JSON has no undefined. */
function text(result: unknown): string {
  return JSON.stringify(result === undefined ? null : result);
}

async function run(handler: Handler, id: number, event: string, timeoutMs: number): Promise<void> {
  let result: unknown;
  try {
    result = await handler(JSON.parse(event), new CallContext(timeoutMs));
  } catch (error) {
    send([id, 'threw', describe(error)]);
    return;
  }
  let answer: string | undefined;
  try {
    answer = typeof result === 'string' ? result : text(result);
  } catch (error) {
    send([id, 'unusable_answer', describe(error)]);
    return;
  }
  if (answer.length <= maxAnswer) send([id, answer]);
  else send([id, 'unusable_answer', `${answer.length} characters`]);
}

try {
  const handler = handlerOf((await import(pathToFileURL(file).href)) as Record<string, unknown>);
  if (handler === undefined) throw new Error('it exports no function: neither default, nor main_handler, nor handler');
  port.on('message', (message: ToFunction) => {
    if (message === 'ping') send('pong');
    else void run(handler, ...message);
  });
  send('ready');
} catch (error) {
  // Its own source, not a request: the whole message helps.
  send({ loadFailed: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
}
