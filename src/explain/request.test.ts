import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseExplainArguments } from './request.ts';

describe('parseExplainArguments', () => {
  it('reads method, URL, headers and address as curl would', () => {
    assert.deepEqual(
      parseExplainArguments(['POST', 'https://a.example/x?y', '-H', 'apikey: k:1', '-HX-A:  b ', '--from', '::1']),
      {
        method: 'POST',
        url: 'https://a.example/x?y',
        headers: [
          ['apikey', 'k:1'],
          ['X-A', 'b'],
        ],
        remoteAddress: '::1',
      },
    );
  });

  it('takes GET and http where nothing else is said', () => {
    assert.deepEqual(parseExplainArguments(['a.example/x']), { method: 'GET', url: 'http://a.example/x', headers: [] });
    assert.equal(parseExplainArguments(['-X', 'PUT', 'a.example']).method, 'PUT');
  });

  it('refuses what it cannot read, without repeating a header', () => {
    for (const argv of [
      [],
      ['GET', 'http://a/', 'http://b/'],
      ['ftp://a/'],
      ['a', '--from', 'localhost'],
      ['a', '--unknown'],
      ['a', '-H', 'secret'],
    ]) {
      assert.throws(
        () => parseExplainArguments(argv),
        (error: unknown) => error instanceof TypeError && !error.message.includes('secret'),
      );
    }
  });
});
