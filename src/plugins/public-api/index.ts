/**
 * public-api: exposes one internal API of another plugin (such as jwt-auth's signing) on a route. Runs in `access`, after
 * every plugin that authenticates or limits, so that any of them protects it. The request never goes upstream.
 * Invariant: only APIs of enabled plugins, and only for the methods that they name; everything else is 404.
 */
import { definePlugin, type PluginApi, type PluginDeps, type Reply } from '../../plugin/plugin.ts';

interface Config {
  uri?: string;
}

interface Offer {
  readonly api: PluginApi;
  readonly deps: PluginDeps;
}

interface State {
  /** undefined: the request's own path. */
  readonly uri: string | undefined;
  readonly offers: ReadonlyMap<string, readonly Offer[]>;
}

const notFound: Reply = {
  status: 404,
  body: { error_msg: '404 Route Not Found' },
  reason: 'public-api.unknown_api',
  detail: 'no enabled plugin offers an API at this path for this method',
};

export const publicApi = definePlugin<Config, State>({
  name: 'public-api',
  priority: 501,
  version: '0.1',
  schema: {
    type: 'object',
    properties: {
      uri: { type: 'string', description: "Path of the API to expose; by default the request's own path." },
    },
  },

  compile(config, { plugins }) {
    const offers = new Map<string, Offer[]>();
    for (const plugin of plugins.list()) {
      for (const api of plugin.apis ?? []) {
        const same = offers.get(api.uri) ?? [];
        offers.set(api.uri, [...same, { api, deps: plugins.deps(plugin.name) }]);
      }
    }
    return { uri: config.uri, offers };
  },

  access(state, exchange) {
    const offers = state.offers.get(state.uri ?? exchange.path);
    const offer = offers?.find(({ api }) => api.methods.includes(exchange.method));
    return offer === undefined ? notFound : offer.api.handler(exchange, offer.deps as PluginDeps<never>);
  },
});
