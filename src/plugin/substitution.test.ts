import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestExchange } from './testing/index.ts';
import { compileReplacement, compileTextTemplate, replaceMatch } from './substitution.ts';

function substitute(subject: string, regex: RegExp, template: string): string | undefined {
  const match = regex.exec(subject);
  return match === null ? undefined : replaceMatch(subject, match, compileReplacement(template)(match));
}

test('captures stand as $1, ${1} and $0; $$ is a dollar', () => {
  assert.equal(substitute('/a/b', /^\/(.*)\/(.*)/, '/$2/${1}0-$0-$$1'), '/b/a0-/a/b-$1');
});

test("JavaScript's own replacement patterns mean nothing", () => {
  assert.equal(substitute('/a', /a/, "$&$`$'$x"), "/$&$`$'$x");
});

test('a capture that took no part, or does not exist, is empty', () => {
  assert.equal(substitute('/nexus', /^\/nexus(\/|$)(x)?/, '/$2$9'), '/');
});

test('a text template fills variables and captures, and keeps \\$', () => {
  const exchange = new TestExchange({ target: '/a?x=1', host: 'a.com' });
  const match = /(.)/.exec('m');
  assert.ok(match !== null);
  assert.equal(
    compileTextTemplate('$host-${arg_x}b$1c$$arg_x-\\$host-$arg_none-$')(exchange, match),
    'a.com-1bmc$1-\\$host--$',
  );
  assert.equal(compileTextTemplate('$1plain')(exchange), 'plain');
  assert.equal(compileTextTemplate('')(exchange), '');
});
