/**
 * Pieces of JSON Schema (draft-07) that several resources share: ids, names, labels, hosts, addresses, times.
 * Constraints and defaults are APISIX's. `writeOnly: true` marks a secret: its value is never repeated in a message.
 */
import type { JsonSchema } from './resource.ts';

type Properties = Record<string, JsonSchema>;

export const idSchema: JsonSchema = {
  anyOf: [
    { type: 'string', minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9-_.]+$' },
    { type: 'integer', minimum: 1 },
  ],
};

export const hostSchema: JsonSchema = { type: 'string', pattern: '^\\*?[0-9a-zA-Z-._\\[\\]:]+$' };

const ipv4Segment = '([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])';
const ipv4 = Array.from({ length: 4 }, () => ipv4Segment).join('\\.');
const ipv6 = '([a-fA-F0-9]{0,4}:){1,8}(:[a-fA-F0-9]{0,4}){0,8}([a-fA-F0-9]{0,4})?';

/** An IPv4 or IPv6 address, or a CIDR range of either. */
export const addressSchema: JsonSchema = {
  description: 'client IP',
  type: 'string',
  anyOf: [
    { title: 'IPv4', type: 'string', format: 'ipv4' },
    { title: 'IPv4/CIDR', type: 'string', pattern: `^${ipv4}/([12]?[0-9]|3[0-2])$` },
    { title: 'IPv6', type: 'string', format: 'ipv6' },
    { title: 'IPv6/CIDR', type: 'string', pattern: `^${ipv6}/[0-9]{1,3}$` },
  ],
};

export const nameSchema: JsonSchema = { type: 'string', minLength: 1, maxLength: 100 };

export const labelsSchema: JsonSchema = {
  description: 'key/value pairs to specify attributes',
  type: 'object',
  patternProperties: {
    '.*': { description: 'value of label', type: 'string', pattern: '^\\S+$', minLength: 1, maxLength: 64 },
  },
  maxProperties: 16,
};

/** Plugin name → configuration; each configuration is checked by its plugin, not here. */
export const pluginsSchema: JsonSchema = { type: 'object' };

const positiveSeconds: JsonSchema = { type: 'number', exclusiveMinimum: 0, description: 'seconds' };
export const timeoutsSchema: JsonSchema = {
  type: 'object',
  properties: { connect: positiveSeconds, send: positiveSeconds, read: positiveSeconds },
  required: ['connect', 'send', 'read'],
};

const secondsSinceEpoch: JsonSchema = { type: 'integer', description: 'seconds since the epoch' };
export const timestamps: Properties = { create_time: secondsSinceEpoch, update_time: secondsSinceEpoch };

/** The fields that every named resource carries. */
export const commonProperties: Properties = {
  id: idSchema,
  name: nameSchema,
  desc: { type: 'string', maxLength: 256 },
  labels: labelsSchema,
  ...timestamps,
};

/** A PEM certificate or a reference to one (`$secret://…`, `$env://…`). Lengths in characters. */
export const certificateSchema: JsonSchema = {
  anyOf: [
    { type: 'string', minLength: 128, maxLength: 64 * 1024 },
    { type: 'string', pattern: '^\\$(secret|env|ENV)://' },
  ],
};

export const privateKeySchema: JsonSchema = { ...certificateSchema, writeOnly: true };

/** Lua source, kept but not run. */
export const scriptSchema: JsonSchema = { type: 'string', minLength: 10, maxLength: 102_400 };
