/**
 * A verification function: whoever sends `Header1: open-sesame` passes, as the tenant that the query names.
 * Its types are erased when it is loaded; `gatewright/plugin` need not be installed to run it.
 */
import type { FunctionContext, VerificationAnswer, VerificationEvent } from 'gatewright/plugin';

export default async function verify(event: VerificationEvent, _context: FunctionContext): Promise<VerificationAnswer> {
  if (event.headers['header1'] !== 'open-sesame') return { 'api-auth': false, message: 'Say the word' };
  return { 'api-auth': true, headers: { 'X-Tenant': event.queryString['Query1'] ?? 'none' } };
}
