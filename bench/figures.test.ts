/** The arithmetic of the tables, and reading what wrk writes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, percentile, table } from './figures.ts';
import { parseWrk } from './load.ts';

/** What wrk 4.1 writes with --latency. */
function wrkOutput(errors = ''): string {
  return `Running 1s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.06ms  202.00us   9.00ms   92.00%
    Req/Sec    30.00k     1.00k   31.00k    70.00%
  Latency Distribution
     50%  812.00us
     75%    1.10ms
     90%    1.20ms
     99%    2.50ms
  29876 requests in 1.01s, 8.00MB read
${errors}Requests/sec:  29580.20
Transfer/sec:      7.92MB
`;
}

test('the median of an even number of values is the mean of the two in the middle', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 3, 2]), 2.5);
});

test('a percentile is a value that was measured', () => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  assert.equal(percentile(values, 0.99), 198);
  assert.equal(percentile([7], 0.99), 7);
});

test('a table is Markdown with its columns aligned', () => {
  assert.equal(
    table(
      ['name', 'n'],
      [
        ['a', '1'],
        ['bcdef', '22'],
      ],
    ),
    '| name  |  n |\n| ----- | -: |\n| a     |  1 |\n| bcdef | 22 |',
  );
});

test("wrk's units become milliseconds", () => {
  assert.deepEqual(parseWrk(wrkOutput()), { requests: 29876, requestsPerSecond: 29580.2, p50Ms: 0.812, p99Ms: 2.5 });
});

test('a load that was not answered is no result', () => {
  assert.throws(() => parseWrk(wrkOutput('  Non-2xx or 3xx responses: 12\n')), /Non-2xx or 3xx responses: 12/);
  assert.throws(() => parseWrk(wrkOutput('  Socket errors: connect 0, read 3, write 0, timeout 0\n')), /read 3/);
});
