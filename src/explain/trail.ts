/** Notes each step as it ends, and lists the plugins of the pipelines in their order, reached or not. */
import type { Reply } from '../plugin/plugin.ts';
import type { ActivePipeline, CompiledPlugin, Pipeline, Step } from '../proxy/pipeline/compiled.ts';
import type { StepObserver } from '../proxy/pipeline/run.ts';
import type { ExplainStep } from './report.ts';

type Noted = Pick<ExplainStep, 'verdict' | 'reason' | 'detail'>;

const notReached: Noted = { verdict: 'not reached', reason: undefined, detail: undefined };
const onResponse: Noted = { verdict: 'on response', reason: undefined, detail: undefined };

export class Trail implements StepObserver {
  readonly #ended = new Map<Step, Noted>();
  /** Of the step that runs. */
  #notes: string[] = [];
  #active: ActivePipeline | undefined;
  /** The pipeline is a consumer's variant: what it has in `rewrite` ran before, in the one that it replaced. */
  #replaced = false;
  /** The steps that ended in a pipeline which a consumer's variant has replaced since. */
  readonly #done: { step: Step; from: ExplainStep['from'] }[] = [];

  /** The pipelines from here on. Steps that ended before stay listed. */
  enter(active: ActivePipeline): void {
    const previous = this.#active;
    if (previous?.route !== undefined && previous.route !== active.route) {
      this.#replaced = true;
      for (const step of previous.route.rewrite)
        if (this.#ended.has(step)) this.#done.push({ step, from: origin(step.plugin) });
    }
    this.#active = active;
  }

  onStep(step: Step, verdict: 'passed' | 'refused' | 'failed' | 'skipped', reply: Reply | undefined): void {
    const reason = reply === undefined ? undefined : (reply.reason ?? `${step.plugin.name}.reply`);
    const details = [...(reply?.detail === undefined ? [] : [reply.detail]), ...this.#notes];
    this.#notes = [];
    this.#ended.set(step, { verdict, reason, detail: details.length === 0 ? undefined : details.join('; ') });
  }

  onNote(text: string): void {
    this.#notes.push(text);
  }

  steps(): ExplainStep[] {
    const { global, route } = this.#active ?? { global: undefined, route: undefined };
    const listed = (global?.access ?? []).map((step) => this.#row(step, 'global_rule'));
    for (const { step, from } of this.#done) listed.push(this.#row(step, from));
    if (route !== undefined) {
      const phases = [this.#replaced ? [] : route.rewrite, route.consumerRewrite, route.access, route.beforeProxy];
      for (const step of phases.flat()) listed.push(this.#row(step, origin(step.plugin)));
    }
    for (const plugin of responseOnly(global)) listed.push(responseRow(plugin, 'global_rule'));
    for (const plugin of responseOnly(route)) listed.push(responseRow(plugin, origin(plugin)));
    return listed;
  }

  #row(step: Step, from: ExplainStep['from']): ExplainStep {
    const { name, priority } = step.plugin;
    return { plugin: name, phase: step.phase, from, priority, ...(this.#ended.get(step) ?? notReached) };
  }
}

function origin(plugin: CompiledPlugin): ExplainStep['from'] {
  return plugin.fromConsumer ? 'consumer' : 'route';
}

function responseOnly(pipeline: Pipeline | undefined): CompiledPlugin[] {
  return (pipeline?.plugins ?? []).filter(
    ({ rewrite, access, beforeProxy }) => rewrite === undefined && access === undefined && beforeProxy === undefined,
  );
}

function responseRow(plugin: CompiledPlugin, from: ExplainStep['from']): ExplainStep {
  const { name, priority } = plugin;
  return { plugin: name, phase: responsePhase(plugin), from, priority, ...onResponse };
}

function responsePhase({ upstreamResponse, headerFilter, bodyFilter }: CompiledPlugin): ExplainStep['phase'] {
  if (upstreamResponse !== undefined) return 'upstream_response';
  return headerFilter !== undefined ? 'header_filter' : bodyFilter !== undefined ? 'body_filter' : 'log';
}
