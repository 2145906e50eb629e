/**
 * What a function answered → a verdict. Pure. Only `"api-auth": true` passes. `false` and `null` are refusals that may be kept; an
 * answer without it is a refusal that is not. What cannot be read at all is no verdict (AuthorizerError).
 */
import type { Asked } from '../../plugin/authorizer/authorizer.ts';
import { AuthorizerError, headerProblem, passed, type Verdict } from '../../plugin/authorizer/verdict.ts';
import { parseStrictJson } from '../../plugin/strict-json.ts';

type Answer = Readonly<Record<string, unknown>>;

const field = 'api-auth';

/** `maxTtlMs`: of the configuration. */
export function readAnswer(text: string, maxTtlMs: number): Asked {
  const answer = unwrap(parse(text));
  const decision = answer[field];
  const ttlMs = ttlOf(answer, maxTtlMs);
  if (decision === true) return { verdict: passing(answer), ttlMs };
  if (decision === false || decision === null) return { verdict: refusal(answer), ttlMs };
  if (decision === undefined) return { verdict: refusal(answer), ttlMs: 0 };
  throw unusable(`its ${field} is neither true nor false nor null`);
}

function parse(text: string): Answer {
  const parsed = parseStrictJson(text);
  if ('problem' in parsed) throw unusable(`its answer ${parsed.problem}`);
  const { value } = parsed;
  // A function may return nothing, or JSON as text.
  if (value === null) return {};
  if (typeof value === 'string') return parse(value);
  if (typeof value !== 'object' || Array.isArray(value)) throw unusable('its answer is no object');
  return value as Answer;
}

/** The form in which cloud functions answer a gateway: `{statusCode, headers, body}`, the answer in the body. */
function unwrap(answer: Answer): Answer {
  const { statusCode, body, isBase64Encoded } = answer;
  if (Object.hasOwn(answer, field) || statusCode === undefined) return answer;
  if (typeof statusCode !== 'number') throw unusable('its statusCode is no number');
  if (statusCode === 401 || statusCode === 403) return {};
  if (statusCode < 200 || statusCode > 299)
    throw new AuthorizerError('unavailable', `it answered with status ${statusCode}`);
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Answer;
  if (typeof body !== 'string') throw unusable('its body is no text');
  return parse(isBase64Encoded === true ? Buffer.from(body, 'base64').toString('utf8') : body);
}

function ttlOf({ ttl }: Answer, maxTtlMs: number): number {
  if (ttl === undefined) return maxTtlMs;
  if (typeof ttl !== 'number' || !(ttl >= 0)) throw unusable('its ttl is no number from 0');
  return Math.min(ttl * 1000, maxTtlMs);
}

function passing(answer: Answer): Verdict {
  const { consumer, headers } = answer;
  if (consumer === undefined && headers === undefined) return passed;
  // An empty name is no consumer, and not the same as none.
  if (consumer !== undefined && (typeof consumer !== 'string' || consumer === ''))
    throw unusable('its consumer is no username');
  return { passes: true, ...(consumer === undefined ? {} : { consumer }), headers: headersOf(headers) };
}

function headersOf(headers: unknown): [string, string][] {
  if (headers === undefined) return [];
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers))
    throw unusable('its headers are no object');
  return Object.entries(headers).map(([name, value]) => {
    if (typeof value !== 'string') throw unusable('a header is no text');
    const problem = headerProblem(name, value);
    if (problem !== undefined) throw unusable(problem);
    return [name, value];
  });
}

/** A refusal is one, whatever is wrong with its words. */
function refusal({ status, message }: Answer): Verdict {
  const known = typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599;
  return { passes: false, ...(known ? { status } : {}), ...(typeof message === 'string' ? { body: message } : {}) };
}

function unusable(why: string): AuthorizerError {
  return new AuthorizerError('unusable_answer', why);
}
