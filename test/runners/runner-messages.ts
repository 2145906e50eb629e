/** What a runner says, in as few words as a test needs: the Node runner's own half of the protocol, with defaults. */
import type { RequestVerdict, ResponseVerdict } from '../../src/plugin/runners/runners.ts';
import { FrameWriter } from '../../src/runners/wire/writer.ts';
import type { ExtraInfoQuestion } from '../../src/runners/wire/schema.ts';
import {
  encodeError,
  encodeQuestion,
  encodeRequestVerdict,
  encodeResponseVerdict,
  encodeToken,
} from '../../runners/node/messages.ts';

type Rewrite = RequestVerdict & { readonly action: 'rewrite' };

const nothing = { status: 0, headers: [], body: undefined };
const asItIs = { path: undefined, headers: [], args: [], responseHeaders: [], body: undefined };

export function confToken(token: number): Buffer {
  return encodeToken(new FrameWriter(), token);
}

export function failure(code: number): Buffer {
  return encodeError(new FrameWriter(), code);
}

export function goOn(id: number): Buffer {
  return encodeRequestVerdict(new FrameWriter(), id, { action: 'none' });
}

export function stop(id: number, answer: Partial<ResponseVerdict>): Buffer {
  return encodeRequestVerdict(new FrameWriter(), id, { ...nothing, ...answer, action: 'stop' });
}

export function rewrite(id: number, answer: Partial<Rewrite>): Buffer {
  return encodeRequestVerdict(new FrameWriter(), id, { ...asItIs, ...answer, action: 'rewrite' });
}

export function changedResponse(id: number, answer: Partial<ResponseVerdict>): Buffer {
  return encodeResponseVerdict(new FrameWriter(), id, { ...nothing, ...answer });
}

export function question(about: ExtraInfoQuestion): Buffer {
  return encodeQuestion(new FrameWriter(), about);
}
