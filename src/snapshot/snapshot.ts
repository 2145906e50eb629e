/**
 * Stored resources → what a request meets. One instance a worker; `apply` takes changes, item by item.
 * Invariants: a change costs what it touches; a request sees a route entirely before or after a change; an item that cannot be
 * used is reported and its last good value stays (apisix#12834).
 *
 * Routes are held as JSON text and compiled on their first request: 100,000 of them stay small.
 */
import type { AuthenticatedConsumer, MatchedRoute } from '../plugin/exchange.ts';
import type { ProxyExchange } from '../proxy/exchange.ts';
import type {
  ActivePipeline,
  CompiledRoute,
  CompiledUpstream,
  Pipeline,
  ReadyRoute,
} from '../proxy/pipeline/compiled.ts';
import { createRouter, type Router } from '../proxy/router/router.ts';
import type { RouteExplanation, RouterMode, RouteSubject } from '../proxy/router/route-entry.ts';
import type { TargetDeps } from '../proxy/upstream/target.ts';
import type { Consumer } from '../resources/consumer.ts';
import type { Credential } from '../resources/credential.ts';
import type { PluginConfigs, ResourceFields } from '../resources/resource.ts';
import type { Route } from '../resources/route.ts';
import type { Service } from '../resources/service.ts';
import type { Ssl } from '../resources/ssl.ts';
import type { Upstream } from '../resources/upstream.ts';
import {
  type GlobalRulePlugins,
  compilePlugins,
  createGlobalPipeline,
  createPipeline,
  type PluginSource,
  retire,
  unusableRule,
} from './compile-plugins.ts';
import { compileUpstream, type UpstreamDefaults, withTimeouts } from './compile-upstream.ts';
import type { CredentialTable } from './credentials.ts';
import { Dependents } from './dependents.ts';

export interface SnapshotOptions {
  readonly routerMode: RouterMode;
  readonly plugins: PluginSource;
  readonly credentials: CredentialTable;
  readonly metadata: Map<string, Readonly<Record<string, unknown>>>;
  readonly target: Omit<TargetDeps, 'key'>;
  readonly upstreamDefaults: UpstreamDefaults;
  /** `problem`: why the item cannot be used; of `ssl`, only the names count. */
  readonly onSsl: (id: string, ssl: Ssl | undefined, problem: string | undefined) => void;
}

/** `key` as in the store; undefined: deleted. */
export interface SnapshotChange {
  readonly key: string;
  readonly value: string | undefined;
  /** Why the item cannot be used: a route's requests, with a global rule all, with an ssl item its names' are refused. Of `value`, only what matches counts. */
  readonly problem?: string;
}

export interface SnapshotError {
  readonly key: string;
  readonly message: string;
}

export class Snapshot {
  readonly #options: SnapshotOptions;
  readonly #router: Router<RouteSlot>;
  readonly #routes = new Map<string, RouteSlot>();
  /** Why their requests are refused. */
  readonly #unusableRoutes = new Map<string, string>();
  readonly #services = new Map<string, Service>();
  readonly #pluginConfigs = new Map<string, { plugins: PluginConfigs }>();
  readonly #consumerGroups = new Map<string, { plugins: PluginConfigs }>();
  readonly #globalRules = new Map<string, GlobalRulePlugins>();
  /** As they were written, where they can be used at all. */
  readonly #globalRuleTexts = new Map<string, { plugins?: PluginConfigs }>();
  readonly #upstreams = new Map<string, Upstream>();
  readonly #clientCertificates = new Map<string, Ssl>();
  readonly #compiledUpstreams = new Map<string, CompiledUpstream>();
  readonly #dependents = new Dependents();
  #global: Pipeline | undefined;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    this.#router = createRouter<RouteSlot>({ mode: options.routerMode });
  }

  get global(): Pipeline | undefined {
    return this.#global;
  }
  get needsBody(): boolean {
    return this.#router.needsBody;
  }
  get routeCount(): number {
    return this.#router.size;
  }

  match(
    exchange: ProxyExchange,
  ): { readonly value: CompiledRoute; readonly params: ReadonlyMap<string, string> } | undefined {
    return this.#router.match(exchange);
  }

  explainRouting(subject: RouteSubject): RouteExplanation {
    return this.#router.explain(subject);
  }

  /** These plugins are others now: what uses them is compiled anew, and requests under way finish on what they have. */
  pluginsChanged(names: readonly string[]): SnapshotError[] {
    const uses = usesOf(names);
    const errors: SnapshotError[] = [];
    const attempt = (key: string, task: () => void): void => {
      try {
        task();
      } catch (error) {
        errors.push({ key, message: error instanceof Error ? error.message : String(error) });
      }
    };
    for (const [id, service] of this.#services) if (uses(service.plugins)) this.#refreshRoutes(`services/${id}`, false);
    for (const [id, { plugins }] of this.#pluginConfigs)
      if (uses(plugins)) this.#refreshRoutes(`plugin_configs/${id}`, false);
    const quoted = names.map((name) => JSON.stringify(name));
    for (const slot of this.#routes.values())
      if (slot.runs(names) || quoted.some((name) => slot.text.includes(name))) slot.retire();
    for (const [id, rule] of this.#globalRuleTexts)
      if (uses(rule)) attempt(`global_rules/${id}`, () => this.#applyGlobalRule(id, structuredClone(rule), undefined));
    for (const [key, message] of this.#options.credentials.pluginsChanged(names)) errors.push({ key, message });
    return errors;
  }

  /** Applies what can be applied; what cannot is in the answer. */
  apply(changes: readonly SnapshotChange[]): SnapshotError[] {
    const errors: SnapshotError[] = [];
    for (const { key, value, problem } of changes) {
      try {
        this.#applyOne(key, value, problem);
      } catch (error) {
        errors.push({ key, message: error instanceof Error ? error.message : String(error) });
      }
    }
    return errors;
  }

  #applyOne(key: string, text: string | undefined, problem: string | undefined): void {
    const [kind = '', id = '', , credentialId] = key.split('/');
    const value = text === undefined ? undefined : (JSON.parse(text) as ResourceFields);
    switch (kind) {
      case 'routes':
        if (problem === undefined) this.#unusableRoutes.delete(id);
        else this.#unusableRoutes.set(id, problem);
        if (text === undefined || value === undefined) this.#removeRoute(id);
        else this.#putRoute(id, text, value);
        break;
      case 'services':
        this.#setOrDelete(this.#services, id, value);
        this.#dropUpstream(key);
        this.#dependents.setOne(`service:${id}`, (value as Service | undefined)?.upstream_id, 'upstreams');
        this.#refreshRoutes(key, true);
        break;
      case 'upstreams':
        this.#setOrDelete(this.#upstreams, id, value);
        this.#dropUpstream(key);
        this.#refreshRoutes(key, false);
        for (const user of this.#dependents.of(key))
          if (user.startsWith('service:')) this.#refreshRoutes(`services/${user.slice(8)}`, false);
        break;
      case 'plugin_configs':
        this.#setOrDelete(this.#pluginConfigs, id, value as { plugins: PluginConfigs } | undefined);
        this.#refreshRoutes(key, false);
        break;
      case 'consumer_groups':
        this.#setOrDelete(this.#consumerGroups, id, value as { plugins: PluginConfigs } | undefined);
        break;
      case 'consumers':
        this.#applyConsumer(id, credentialId, value, text);
        break;
      case 'global_rules':
        this.#applyGlobalRule(id, value as { plugins?: PluginConfigs } | undefined, problem);
        break;
      case 'plugin_metadata':
        if (value === undefined) this.#options.metadata.delete(id);
        else this.#options.metadata.set(id, value as Record<string, unknown>);
        break;
      case 'ssls':
        this.#applySsl(id, value, problem);
        break;
      default:
      // secrets and protos are stored; nothing on the request path reads them yet.
    }
  }

  #setOrDelete<T>(map: Map<string, T>, id: string, value: T | undefined): void {
    if (value === undefined) map.delete(id);
    else map.set(id, value);
  }

  #putRoute(id: string, text: string, route: Route): void {
    const slot = new RouteSlot(
      id,
      text,
      (active) => this.#compileRoute(active),
      () => this.#global,
    );
    if (route.status === 0) {
      this.#removeRoute(id);
      return;
    }
    this.#router.put({
      id,
      uris: route.uris ?? (route.uri === undefined ? [] : [route.uri]),
      hosts: this.#hostsOf(route),
      methods: route.methods,
      remoteAddrs: route.remote_addrs ?? (route.remote_addr === undefined ? undefined : [route.remote_addr]),
      vars: route.vars,
      priority: route.priority ?? 0,
      value: slot,
    });
    this.#routes.get(id)?.retire();
    this.#routes.set(id, slot);
    this.#dropUpstream(`routes/${id}`);
    this.#dependents.set(id, [
      ['services', route.service_id],
      ['upstreams', route.upstream_id],
      ['plugin_configs', route.plugin_config_id],
    ]);
  }

  #hostsOf(route: Route): readonly string[] {
    if (route.hosts !== undefined) return route.hosts;
    if (route.host !== undefined) return [route.host];
    if (route.service_id === undefined) return [];
    return this.#services.get(String(route.service_id))?.hosts ?? [];
  }

  #removeRoute(id: string): void {
    this.#router.remove(id);
    this.#routes.get(id)?.retire();
    this.#routes.delete(id);
    this.#dropUpstream(`routes/${id}`);
    this.#dependents.set(id, []);
  }

  /** `hosts`: the routes may match other hosts now. */
  #refreshRoutes(key: string, hosts: boolean): void {
    for (const id of [...this.#dependents.of(key)]) {
      const slot = this.#routes.get(id);
      if (slot === undefined) continue;
      if (hosts) this.#putRoute(id, slot.text, JSON.parse(slot.text) as Route);
      else slot.retire();
    }
  }

  #applyConsumer(
    username: string,
    credentialId: string | undefined,
    value: ResourceFields | undefined,
    text: string | undefined,
  ): void {
    const { credentials } = this.#options;
    if (credentialId !== undefined) {
      if (value === undefined) credentials.removeCredential(username, credentialId);
      else credentials.putCredential(username, credentialId, value as Credential);
    } else if (value === undefined) credentials.removeConsumer(username);
    else credentials.putConsumer(username, value as Consumer, text);
  }

  #applyGlobalRule(id: string, rule: { plugins?: PluginConfigs } | undefined, problem: string | undefined): void {
    const scope = `global_rule#${id}`;
    if (rule === undefined || problem !== undefined) this.#globalRuleTexts.delete(id);
    else this.#globalRuleTexts.set(id, structuredClone(rule));
    if (rule === undefined) this.#globalRules.delete(id);
    else if (problem !== undefined) this.#globalRules.set(id, { plugins: [unusableRule(scope, problem)], holders: 0 });
    else {
      try {
        const plugins = compilePlugins(rule.plugins ?? {}, scope, this.#options.plugins, false);
        this.#globalRules.set(id, { plugins, holders: 0 });
      } catch (error) {
        if (!this.#globalRules.has(id)) {
          this.#globalRules.set(id, { plugins: [unusableRule(scope, error)], holders: 0 });
          this.#rebuildGlobal();
        }
        throw error;
      }
    }
    this.#rebuildGlobal();
  }

  #rebuildGlobal(): void {
    const previous = this.#global;
    const rules = [...this.#globalRules].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#global = createGlobalPipeline(rules.map(([, plugins]) => plugins));
    retire(previous);
  }

  #applySsl(id: string, ssl: Ssl | undefined, problem: string | undefined): void {
    if (ssl?.type === 'client') this.#clientCertificates.set(id, ssl);
    else this.#clientCertificates.delete(id);
    // Upstreams may name the certificate: they are compiled again when next used.
    for (const key of [...this.#compiledUpstreams.keys()]) this.#dropUpstream(key);
    for (const slot of this.#routes.values()) slot.retire();
    this.#options.onSsl(id, ssl?.type === 'client' || ssl?.status === 0 ? undefined : ssl, problem);
  }

  #dropUpstream(key: string): void {
    this.#compiledUpstreams.get(key)?.target.dispose();
    this.#compiledUpstreams.delete(key);
  }

  // ---- on a route's first request -----------------------------------------------------------------------------------

  #compileRoute(slot: RouteSlot): CompiledParts {
    const problem = this.#unusableRoutes.get(slot.id);
    if (problem !== undefined) throw new Error(`route#${slot.id}: ${problem}`);
    const route = JSON.parse(slot.text) as Route;
    const service = route.service_id === undefined ? undefined : this.#services.get(String(route.service_id));
    if (route.service_id !== undefined && service === undefined)
      throw new Error(`service ${route.service_id} does not exist`);
    const shared =
      route.plugin_config_id === undefined ? undefined : this.#pluginConfigs.get(String(route.plugin_config_id));
    if (route.plugin_config_id !== undefined && shared === undefined)
      throw new Error(`plugin config ${route.plugin_config_id} does not exist`);
    // The nearer configuration of a plugin wins whole (APISIX: route, then plugin config, then service).
    const configs: PluginConfigs = { ...service?.plugins, ...shared?.plugins, ...route.plugins };
    const scope = `route#${slot.id}`;
    const upstream = this.#upstreamOf(slot.id, route, service);
    const bound = compilePlugins(configs, scope, this.#options.plugins, false);
    return {
      matched: matchedRoute(slot.id, route, service),
      pipeline: createPipeline(bound),
      upstream: upstream === undefined ? undefined : withTimeouts(upstream, route.timeout),
      websocket: route.enable_websocket ?? service?.enable_websocket ?? false,
      variant: (consumer) => this.#consumerVariant(configs, scope, consumer),
      variantKey: (consumer) => this.#variantKey(consumer),
    };
  }

  #upstreamOf(routeId: string, route: Route, service: Service | undefined): CompiledUpstream | undefined {
    if (route.upstream !== undefined) return this.#compiledUpstream(`routes/${routeId}`, route.upstream);
    if (route.upstream_id !== undefined) return this.#sharedUpstream(String(route.upstream_id));
    if (service?.upstream !== undefined)
      return this.#compiledUpstream(`services/${route.service_id ?? ''}`, service.upstream);
    if (service?.upstream_id !== undefined) return this.#sharedUpstream(String(service.upstream_id));
    return undefined;
  }

  #sharedUpstream(id: string): CompiledUpstream {
    const upstream = this.#upstreams.get(id);
    if (upstream === undefined) throw new Error(`upstream ${id} does not exist`);
    return this.#compiledUpstream(`upstreams/${id}`, upstream);
  }

  #compiledUpstream(key: string, upstream: Upstream): CompiledUpstream {
    const known = this.#compiledUpstreams.get(key);
    if (known !== undefined) return known;
    const certificateId = upstream.tls?.client_cert_id;
    const certificate = certificateId === undefined ? undefined : this.#clientCertificates.get(certificateId);
    if (certificateId !== undefined && certificate === undefined)
      throw new Error(`client certificate ${certificateId} does not exist`);
    const compiled = compileUpstream(
      upstream,
      { ...this.#options.target, key },
      this.#options.upstreamDefaults,
      certificate === undefined ? undefined : { cert: certificate.cert ?? '', key: certificate.key ?? '' },
    );
    this.#compiledUpstreams.set(key, compiled);
    return compiled;
  }

  /** Consumer over consumer group over the route's own (APISIX: plugin merging precedence). undefined: nothing to merge. */
  #consumerVariant(configs: PluginConfigs, scope: string, consumer: AuthenticatedConsumer): Pipeline | undefined {
    const source = this.#options.plugins;
    const group = consumer.groupId === undefined ? undefined : this.#consumerGroups.get(consumer.groupId);
    if (consumer.groupId !== undefined && group === undefined)
      throw new Error(`consumer group ${consumer.groupId} does not exist`);
    const merged: PluginConfigs = { ...group?.plugins, ...consumer.resource.plugins };
    const bound = compilePlugins(merged, `consumer#${consumer.username}`, source, true);
    if (bound.length === 0) return undefined;
    const replaced = new Set(bound.map((plugin) => plugin.name));
    const rest = Object.fromEntries(Object.entries(configs).filter(([name]) => !replaced.has(name)));
    return createPipeline([...bound, ...compilePlugins(rest, scope, source, false)]);
  }

  /** Identity of everything a variant depends on beside the route. */
  #variantKey(consumer: AuthenticatedConsumer): object {
    const group = consumer.groupId === undefined ? undefined : this.#consumerGroups.get(consumer.groupId);
    return group ?? consumer.resource;
  }
}

interface CompiledParts {
  readonly matched: MatchedRoute;
  readonly pipeline: Pipeline;
  readonly upstream: CompiledUpstream | undefined;
  readonly websocket: boolean;
  readonly variant: (consumer: AuthenticatedConsumer) => Pipeline | undefined;
  readonly variantKey: (consumer: AuthenticatedConsumer) => object;
}

interface Variant {
  readonly resource: Consumer;
  readonly group: object;
  readonly pipeline: Pipeline | undefined;
}

/** A route in the router: text until its first request, compiled until something it depends on changes. */
class RouteSlot implements CompiledRoute {
  readonly id: string;
  readonly text: string;
  #ready: Ready | undefined;
  readonly #compile: (slot: RouteSlot) => CompiledParts;
  readonly #global: () => Pipeline | undefined;

  constructor(
    id: string,
    text: string,
    compile: (slot: RouteSlot) => CompiledParts,
    global: () => Pipeline | undefined,
  ) {
    this.id = id;
    this.text = text;
    this.#compile = compile;
    this.#global = global;
  }

  ready(): ReadyRoute {
    const global = this.#global();
    let ready = this.#ready;
    if (ready === undefined) this.#ready = ready = new Ready(this.#compile(this), global);
    else if (ready.active.global !== global) ready.setGlobal(global);
    return ready;
  }

  /** Whether one of the plugins is compiled here, be it brought by a consumer. */
  runs(names: readonly string[]): boolean {
    return this.#ready?.runs(names) === true;
  }

  /** The next request compiles anew; requests under way finish on what they have. */
  retire(): void {
    this.#ready?.retire();
    this.#ready = undefined;
  }
}

class Ready implements ReadyRoute {
  readonly matched: MatchedRoute;
  readonly upstream: CompiledUpstream | undefined;
  readonly websocket: boolean;
  active: ActivePipeline;
  readonly #parts: CompiledParts;
  readonly #variants = new Map<string, Variant & { active: ActivePipeline }>();

  constructor(parts: CompiledParts, global: Pipeline | undefined) {
    this.#parts = parts;
    this.matched = parts.matched;
    this.upstream = parts.upstream;
    this.websocket = parts.websocket;
    this.active = { global, route: parts.pipeline };
  }

  setGlobal(global: Pipeline | undefined): void {
    this.active = { global, route: this.active.route };
    for (const variant of this.#variants.values()) variant.active = { global, route: variant.active.route };
  }

  forConsumer(consumer: AuthenticatedConsumer): ActivePipeline {
    const group = this.#parts.variantKey(consumer);
    const known = this.#variants.get(consumer.username);
    if (known?.resource === consumer.resource && known.group === group)
      return known.pipeline === undefined ? this.active : known.active;
    if (known !== undefined) retire(known.pipeline);
    const pipeline = this.#parts.variant(consumer);
    const active = pipeline === undefined ? this.active : { global: this.active.global, route: pipeline };
    this.#variants.set(consumer.username, { resource: consumer.resource, group, pipeline, active });
    return active;
  }

  runs(names: readonly string[]): boolean {
    const pipelines = [this.active.route, ...[...this.#variants.values()].map(({ pipeline }) => pipeline)];
    return pipelines.some((pipeline) => pipeline?.plugins.some(({ name }) => names.includes(name)) === true);
  }

  retire(): void {
    retire(this.active.route);
    for (const variant of this.#variants.values()) retire(variant.pipeline);
  }
}

/** Whether a configuration names one of the plugins, be it inside another's. */
function usesOf(names: readonly string[]): (value: object | undefined) => boolean {
  const quoted = names.map((name) => `${JSON.stringify(name)}:`);
  return (value) => {
    const text = value === undefined ? '' : JSON.stringify(value);
    return quoted.some((name) => text.includes(name));
  };
}

function matchedRoute(id: string, route: Route, service: Service | undefined): MatchedRoute {
  return {
    id,
    name: route.name,
    uri: route.uri ?? route.uris?.[0] ?? '',
    host: route.host ?? route.hosts?.[0],
    serviceId: route.service_id === undefined ? undefined : String(route.service_id),
    serviceName: service?.name,
    labels: route.labels ?? {},
  };
}
