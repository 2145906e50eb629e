/**
 * multi-auth: several auth plugins on one route; the first that lets the caller in decides, in the order of the list. Runs
 * in `rewrite`. Each member finds the request as the client sent it: what one hides is hidden once all is decided.
 * Invariant: a caller passes only where a member let him in; why each refused is told to the operator alone.
 * APISIX: a member that could not decide (an answer of 500 or above) ends the request with that answer if no other member
 * lets it in.
 */
import type { Exchange } from '../../plugin/exchange.ts';
import { ConfigError } from '../../errors/gateway-error.ts';
import { definePlugin, type AnyPlugin, type MaybeAsync, type Reply } from '../../plugin/plugin.ts';
import { HiddenCredentials } from './hidden-credentials.ts';

interface Config {
  auth_plugins: Record<string, Record<string, unknown>>[];
}

interface Member {
  readonly name: string;
  readonly rewrite: (exchange: Exchange) => MaybeAsync;
  readonly dispose: () => void;
}

interface State {
  readonly members: readonly Member[];
  /** Some member takes credentials out of the request. */
  readonly hides: boolean;
}

export const multiAuth = definePlugin<Config, State>({
  name: 'multi-auth',
  priority: 2600,
  version: '0.1',
  type: 'auth',
  schema: {
    type: 'object',
    title: 'work with route or service object',
    properties: {
      auth_plugins: {
        type: 'array',
        minItems: 2,
        items: { type: 'object', minProperties: 1, additionalProperties: { type: 'object' } },
        description: 'Auth plugins with their configuration, `{"key-auth": {}}`; tried in this order.',
      },
    },
    required: ['auth_plugins'],
  },

  nested(config) {
    return config.auth_plugins.flatMap((entry) => Object.entries(entry));
  },

  compile(config, { plugins }) {
    const members: Member[] = [];
    for (const [name, inner] of config.auth_plugins.flatMap((entry) => Object.entries(entry))) {
      const plugin = plugins.get(name);
      if (plugin === undefined) throw new ConfigError(`${name} plugin did not found`);
      const judges = (plugin.type === 'auth' && plugin.rewrite !== undefined) || plugin.decides === true;
      if (!judges || name === 'multi-auth') {
        throw new ConfigError(`${name} plugin is not supported`);
      }
      const state: unknown = plugin.compile(inner, plugins.deps(name));
      members.push({
        name,
        rewrite: (exchange) => judge(plugin, state, exchange),
        dispose: () => plugin.dispose?.(state),
      });
    }
    const hides = config.auth_plugins.some((entry) =>
      Object.values(entry).some((inner) => inner['hide_credentials'] === true),
    );
    return { members, hides };
  },

  dispose(state) {
    for (const member of state.members) member.dispose();
  },

  rewrite(state, exchange) {
    const hidden = state.hides ? new HiddenCredentials(exchange) : undefined;
    return tryFrom(state, exchange, hidden, 0, []);
  },
});

/** Both phases in which a plugin may judge: one that leaves it to the later phase has not let the caller in by that. */
function judge(plugin: AnyPlugin, state: unknown, exchange: Exchange): MaybeAsync {
  const result = plugin.rewrite?.(state, exchange);
  if (plugin.access === undefined) return result;
  if (result instanceof Promise) return result.then((reply) => reply ?? plugin.access?.(state, exchange));
  return result ?? plugin.access(state, exchange);
}

interface Refusal {
  readonly name: string;
  readonly reply: Reply;
}

function tryFrom(
  state: State,
  exchange: Exchange,
  hidden: HiddenCredentials | undefined,
  from: number,
  refusals: Refusal[],
): MaybeAsync {
  for (let i = from; i < state.members.length; i++) {
    const member = state.members[i];
    if (member === undefined) break;
    const result = member.rewrite(exchange);
    if (result instanceof Promise) {
      return result.then((reply) => {
        if (passed(member, reply, hidden, refusals)) return undefined;
        return tryFrom(state, exchange, hidden, i + 1, refusals);
      });
    }
    if (passed(member, result, hidden, refusals)) return undefined;
  }
  hidden?.hide();
  return refuse(refusals);
}

function passed(
  { name }: Member,
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- what a phase returns
  reply: Reply | undefined | void,
  hidden: HiddenCredentials | undefined,
  refusals: Refusal[],
): boolean {
  if (reply === undefined) {
    hidden?.hide();
    return true;
  }
  refusals.push({ name, reply });
  hidden?.restore();
  return false;
}

function refuse(refusals: readonly Refusal[]): Reply {
  const failure = refusals.find(({ reply }) => reply.status >= 500);
  if (failure !== undefined) return failure.reply;
  const challenges = refusals.flatMap(({ reply }) => challengeOf(reply));
  return {
    status: 401,
    // RFC 9110 §11.6.1: a list of challenges; the client takes the one that it understands.
    ...(challenges.length === 0 ? {} : { headers: { 'WWW-Authenticate': challenges.join(', ') } }),
    body: { message: 'Authorization Failed' },
    reason: 'multi-auth.refused',
    detail: refusals.map(({ name, reply }) => describe(name, reply)).join('; '),
  };
}

function challengeOf({ headers = {} }: Reply): string[] {
  return Object.entries(headers).flatMap(([name, value]) => (name.toLowerCase() === 'www-authenticate' ? [value] : []));
}

function describe(name: string, { reason = `${name}.refused`, detail }: Reply): string {
  return detail === undefined ? reason : `${reason} (${detail})`;
}
