import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ConfigError } from '../errors/gateway-error.ts';
import { compileExpression, type VariableValue } from './expression.ts';

type Rules = Parameters<typeof compileExpression>[0];
type Subject = Record<string, VariableValue>;
const variable = (name: string) => (subject: Subject) => subject[name];

const subject: Subject = {
  arg_name: 'json',
  arg_age: '18',
  arg_hex: '0x10',
  arg_empty: '',
  arg_infinite: 'Infinity',
  remote_addr: '192.168.3.4',
  uri: '/Api/v1',
  graphql_root_fields: ['owner', 'repo'],
};

suite('compileExpression', () => {
  const cases: [rules: Rules, expected: boolean][] = [
    [[], true],
    [[['arg_name', '==', 'json']], true],
    [[['arg_name', '==', 'xml']], false],
    [[['arg_name', 'json']], true],
    [[['arg_age', '==', 18]], true],
    [[['arg_age', '==', '18.0']], false],
    [[['arg_age', '==', 18.5]], false],
    [[['arg_hex', '==', 16]], true],
    [[['arg_name', '~=', 'xml']], true],
    [[['arg_name', '~=', 'json']], false],
    [[['arg_name', '~=', 1]], true],
    [[['arg_age', '~=', 18]], false],
    [[['arg_age', '>', 9]], true],
    [[['arg_age', '>', '9']], true],
    [[['arg_age', '>', 18]], false],
    [[['arg_age', '>=', 18]], true],
    [[['arg_age', '<', 100]], true],
    [[['arg_age', '<', 18]], false],
    [[['arg_age', '<=', 18]], true],
    [[['arg_name', '>', 1]], false],
    [[['arg_name', '!', '>', 1]], true],
    [[['arg_empty', '==', 0]], false],
    [[['arg_empty', '<', 1]], false],
    [[['arg_empty', '==', '']], true],
    [[['arg_infinite', '>', 1]], false],
    [[['arg_name', '~~', '^j[a-z]+$']], true],
    [[['arg_name', '~~', '^J']], false],
    [[['uri', '~*', '^/api/']], true],
    [[['uri', '!', '~*', '^/api/']], false],
    [[['arg_name', 'in', ['xml', 'json']]], true],
    [[['arg_name', 'IN', ['xml']]], false],
    [[['arg_name', '!', 'in', ['xml']]], true],
    [[['arg_age', 'in', ['x', 18]]], true],
    [[['arg_name', 'in', []]], false],
    [[['graphql_root_fields', 'has', 'repo']], true],
    [[['graphql_root_fields', 'has', 'user']], false],
    [[['graphql_root_fields', '!', 'has', 'user']], true],
    [[['arg_name', 'has', 'json']], false],
    [[['remote_addr', 'ipmatch', ['10.0.0.0/8', '192.168.0.0/16']]], true],
    [[['remote_addr', 'ipmatch', '192.168.3.5']], false],
    [[['remote_addr', '!', 'ipmatch', ['10.0.0.0/8']]], true],
    // Without a value:
    [[['arg_none', '==', 'x']], false],
    [[['arg_none', '==', 0]], false],
    [[['arg_none', '==', null]], true],
    [[['arg_name', '==', null]], false],
    [[['arg_name', '~=', null]], true],
    [[['arg_none', '~=', 'x']], true],
    [[['arg_none', '~=', 1]], true],
    [[['arg_none', '<', 1]], false],
    [[['arg_none', '~~', '.*']], false],
    [[['arg_none', '!', '~~', '.*']], true],
    [[['arg_none', 'in', ['']]], false],
    [[['arg_none', '!', 'in', ['a']]], true],
    [[['arg_none', 'ipmatch', ['0.0.0.0/0']]], false],
    // Several rules:
    [
      [
        ['arg_name', '==', 'json'],
        ['arg_age', '>', 10],
      ],
      true,
    ],
    [
      [
        ['arg_name', '==', 'json'],
        ['arg_age', '>', 20],
      ],
      false,
    ],
    [
      [
        ['arg_name', 'json'],
        ['arg_age', 18],
        ['uri', '/Api/v1'],
      ],
      true,
    ],
    [['AND', ['arg_name', '==', 'json'], ['arg_age', '>', 20]], false],
    [['OR', ['arg_name', '==', 'json'], ['arg_age', '>', 20]], true],
    [['or', ['arg_name', '==', 'xml'], ['arg_age', '>', 20]], false],
    [['!AND', ['arg_name', '==', 'json'], ['arg_age', '>', 20]], true],
    [['!OR', ['arg_name', '==', 'json'], ['arg_age', '>', 20]], false],
    [['!OR', ['arg_name', '==', 'xml'], ['arg_age', '>', 20]], true],
    [[['OR', ['arg_name', '==', 'xml'], ['!OR', ['arg_age', '>', 20], ['arg_age', '<', 10]]]], true],
    [
      [
        ['arg_age', '>', 10],
        [
          ['arg_age', '<', 20],
          ['arg_name', '==', 'json'],
        ],
      ],
      true,
    ],
  ];
  for (const [rules, expected] of cases) {
    test(`${JSON.stringify(rules)} is ${String(expected)}`, () => {
      assert.equal(compileExpression(rules, variable)(subject), expected);
    });
  }

  const refused: [rules: Rules, message: string][] = [
    [['arg_x', '==', '1'], 'rule should be wrapped inside brackets'],
    [[['a', '==', '1'], 'b'], 'rule should be wrapped inside brackets'],
    [[[]], 'rule too short'],
    [['OR', ['a', '==', '1']], 'rule too short'],
    [[['arg_x']], 'invalid expression, in ["arg_x"]'],
    [[['a', '==', '1', '2', '3']], 'invalid expression, in ["a","==","1","2","3"]'],
    [[[1, '==', '1']], 'invalid expression, in [1,"==","1"]'],
    [[['a', '=~', '1']], `invalid operator '=~', in ["a","=~","1"]`],
    [[['a', '!', '=~', '1']], `invalid operator '=~', in ["a","!","=~","1"]`],
    [[['a', '!', '1']], `invalid operator '!', in ["a","!","1"]`],
    [[['a', 'not', '==', '1']], `bad 'not' expression, in ["a","not","==","1"]`],
    [[['a', '>', 'b']], 'the value is not a number, in ["a",">","b"]'],
    [[['a', '==', true]], 'the value is neither a string nor a number nor null, in ["a","==",true]'],
    [[['a', 'in', 'b']], 'the value is not an array, in ["a","in","b"]'],
    [[['a', 'in', [true]]], 'the array holds something else than strings and numbers, in ["a","in",[true]]'],
    [[['a', 'ipmatch', ['10.0.0.0/40']]], 'invalid ip address: 10.0.0.0/40, in ["a","ipmatch",["10.0.0.0/40"]]'],
    [[['OR', ['a', '==', '1'], ['a', '~~', '(']]], `invalid regular expression '(': missing ), in ["a","~~","("]`],
  ];
  for (const [rules, message] of refused) {
    test(`refuses ${JSON.stringify(rules)}: ${message}`, () => {
      assert.throws(
        () => compileExpression(rules, variable),
        (error) => {
          assert.ok(error instanceof ConfigError);
          assert.equal(error.message, message);
          return true;
        },
      );
    });
  }

  test('asks for the reader of a variable once, when it compiles', () => {
    const asked: string[] = [];
    const matches = compileExpression<Subject>([['arg_age', '>', 1]], (name) => {
      asked.push(name);
      return variable(name);
    });
    matches(subject);
    matches(subject);
    assert.deepEqual(asked, ['arg_age']);
  });
});
