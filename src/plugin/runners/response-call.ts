/** An upstream's response → a runner → what the runner said of it, applied whole or not at all: ext-plugin-post-resp. */
import type { Exchange } from '../exchange.ts';
import type { Reply } from '../plugin.ts';
import { allowsBody, changeHeaders, checkedStatus, checkHeaders, headerEntries } from './entries.ts';
import { withoutVerdict, type ExtPluginState } from './ext-plugin.ts';
import { RunnerError } from './runners.ts';

/** Undefined: the response goes out, as it is now. */
export async function judgeResponse(state: ExtPluginState, exchange: Exchange): Promise<Reply | undefined> {
  const { response } = exchange;
  const readBody = async (): Promise<Uint8Array> => {
    try {
      return await response.body(state.maxBodyBytes);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new RunnerError('runner_unsupported', `${error.message} (ext-plugin.body_size)`);
    }
  };
  try {
    const verdict = await state.session.response(
      { status: response.status, headers: headerEntries(response.headers, undefined) },
      {
        variable: (name) => exchange.variable(name),
        // It streamed through, and is not kept.
        requestBody: () => undefined,
        responseBody: readBody,
      },
    );
    const status = checkedStatus(verdict.status, response.status);
    checkHeaders(verdict.headers);
    response.status = status;
    changeHeaders(response.headers, verdict.headers);
    if (!allowsBody(status)) response.replaceBody(new Uint8Array());
    else if (verdict.body !== undefined) response.replaceBody(verdict.body);
    return undefined;
  } catch (error) {
    return withoutVerdict(state, error);
  }
}
