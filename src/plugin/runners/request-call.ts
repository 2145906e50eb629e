/**
 * A request → a runner → what the runner said of it, applied: ext-plugin-pre-req and ext-plugin-post-req.
 * Invariant: an answer is applied whole, once all of it has been found good, or not at all.
 */
import type { Exchange } from '../exchange.ts';
import type { Reply } from '../plugin.ts';
import {
  allowsBody,
  argumentEntries,
  changeHeaders,
  changeQuery,
  checkArguments,
  checkedStatus,
  checkHeaders,
  checkPath,
  checkRequestHeaders,
  encodePathBytes,
  headerEntries,
  pathBytes,
} from './entries.ts';
import { withoutVerdict, type ExtPluginState } from './ext-plugin.ts';
import type { RequestVerdict, RunnerInformation, TextEntry } from './runners.ts';

/** Undefined: the request goes on. */
export async function judgeRequest(state: ExtPluginState, exchange: Exchange): Promise<Reply | undefined> {
  // Explain: a runner may count or write.
  if (exchange.dryRun) {
    exchange.note(`${state.plugin} would ask its runner; what follows is so if it lets the request pass unchanged`);
    return undefined;
  }
  const { upstream } = exchange;
  const readBody = (): Promise<Uint8Array> => exchange.body(state.maxBodyBytes);
  const information: RunnerInformation = {
    variable: (name) => exchange.variable(name),
    requestBody: readBody,
    responseBody: () => undefined,
  };
  try {
    const verdict = await state.session.request(
      {
        sourceAddress: exchange.remoteAddress,
        method: upstream.method ?? exchange.method,
        path: pathBytes(upstream.path, exchange.path),
        args: argumentEntries(upstream.query ?? exchange.query),
        headers: headerEntries(exchange.headers, upstream.host),
      },
      information,
    );
    if (verdict.action === 'stop') return stop(state, exchange, verdict);
    if (verdict.action === 'rewrite') await rewrite(state, exchange, verdict, readBody);
    return undefined;
  } catch (error) {
    return withoutVerdict(state, error);
  }
}

/** In header_filter: what the runner wants on the response to the client. */
export function addResponseHeaders(state: ExtPluginState, exchange: Exchange): void {
  const headers = exchange.context.get(state.contextKey) as readonly TextEntry[] | undefined;
  if (headers !== undefined) changeHeaders(exchange.response.headers, headers);
}

function stop(state: ExtPluginState, exchange: Exchange, verdict: RequestVerdict & { action: 'stop' }): Reply {
  // APISIX: a status that is not given means 200.
  const status = checkedStatus(verdict.status, 200);
  checkHeaders(verdict.headers);
  // A reply has one value a name; header_filter puts repeated ones (Set-Cookie) on it.
  if (verdict.headers.length > 0) exchange.context.set(state.contextKey, verdict.headers);
  const reply = { status, reason: `${state.plugin}.stop`, detail: 'the runner answered' };
  return verdict.body === undefined || !allowsBody(status) ? reply : { ...reply, body: verdict.body };
}

async function rewrite(
  state: ExtPluginState,
  exchange: Exchange,
  verdict: RequestVerdict & { action: 'rewrite' },
  readBody: () => Promise<Uint8Array>,
): Promise<void> {
  const { path, headers, args, responseHeaders, body } = verdict;
  if (path !== undefined) checkPath(path);
  checkRequestHeaders(headers);
  checkArguments(args);
  checkHeaders(responseHeaders);
  if (body !== undefined) {
    // What the client sends is read to its end: the connection goes on behind it.
    await readBody();
    exchange.replaceBody(body);
  }
  const { upstream } = exchange;
  if (path !== undefined) upstream.path = encodePathBytes(path);
  if (args.length > 0) upstream.query = changeQuery(upstream.query ?? exchange.query, args);
  changeHeaders(
    exchange.headers,
    headers.filter(([name]) => name.toLowerCase() !== 'host'),
  );
  const host = headers.findLast(([name]) => name.toLowerCase() === 'host')?.[1];
  if (host !== undefined) upstream.host = host;
  if (responseHeaders.length > 0) exchange.context.set(state.contextKey, responseHeaders);
}
