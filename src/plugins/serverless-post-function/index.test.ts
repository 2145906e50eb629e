import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compilePlugin, TestExchange } from '../../plugin/testing/index.ts';
import { serverlessPostFunction } from './index.ts';

const config = { phase: 'rewrite', functions: ["(conf, exchange) => exchange.headers.set('X-Phase', conf.phase)"] };

it('serverless-post-function is refused where the settings do not allow it, and runs last where they do', () => {
  assert.throws(() => compilePlugin(serverlessPostFunction, config), /gatewright\.code_in_config: true/);
  const { state } = compilePlugin(serverlessPostFunction, config, { attributes: { code_in_config: true } });
  const exchange = new TestExchange();
  assert.equal(serverlessPostFunction.rewrite?.(state, exchange), undefined);
  assert.equal(exchange.headers.get('x-phase'), 'rewrite');
  assert.equal(serverlessPostFunction.priority, -2000);
});
