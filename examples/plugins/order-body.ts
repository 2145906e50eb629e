/**
 * order-body: looks into the JSON body of a request. One that is no order is refused with what is wrong with it; a good one goes
 * upstream with its total filled in, whatever the client said of it.
 *
 *   "order-body": { "max_items": 50 }
 */
import { definePlugin, reply, type Exchange } from 'gatewright/plugin';

interface Item {
  readonly sku: string;
  readonly quantity: number;
  readonly price: number;
}

const withBody = new Set(['POST', 'PUT', 'PATCH']);

export default definePlugin({
  name: 'order-body',
  priority: 1500, // after authentication, before the limits
  schema: {
    type: 'object',
    properties: {
      max_items: { type: 'integer', minimum: 1, default: 100, description: 'Most items of an order.' },
      max_bytes: { type: 'integer', minimum: 1, default: 65_536, description: 'Largest body; a larger one is 413.' },
    },
    additionalProperties: false,
  },
  // Without compile, the configuration itself is what the phases get.

  async access({ max_items: maxItems, max_bytes: maxBytes }, exchange) {
    if (!withBody.has(exchange.method)) return undefined;
    const order: unknown = await exchange.json(maxBytes); // too large: 413; no JSON: 400
    const problem = problemOf(order, maxItems);
    if (problem !== undefined) return refuse(problem);
    const { items } = order as { items: Item[] };
    const total = items.reduce((sum, { quantity, price }) => sum + quantity * price, 0);
    send(exchange, { ...(order as object), total: Math.round(total * 100) / 100 });
    return undefined;
  },
});

/** What was parsed is what is sent: upstream never reads a text that was judged otherwise. */
function send(exchange: Exchange, order: object): void {
  exchange.replaceBody(Buffer.from(JSON.stringify(order)));
  exchange.headers.set('Content-Type', 'application/json');
}

function problemOf(order: unknown, maxItems: number): string | undefined {
  const items = (order as { items?: unknown } | null)?.items;
  if (!Array.isArray(items) || items.length === 0) return 'items: expected a list that is not empty';
  if (items.length > maxItems) return `items: at most ${maxItems}`;
  for (const [index, item] of (items as Partial<Item>[]).entries()) {
    if (typeof item.sku !== 'string' || item.sku === '') return `items[${index}].sku: expected text`;
    if (!Number.isInteger(item.quantity) || Number(item.quantity) < 1)
      return `items[${index}].quantity: expected 1 or more`;
    if (typeof item.price !== 'number' || item.price < 0) return `items[${index}].price: expected 0 or more`;
  }
  return undefined;
}

function refuse(message: string) {
  return reply(400, { message }, { reason: 'order-body.invalid' });
}
