/** Stands in for worker.ts in workers.test.ts: keeps what it is told, and dies, hangs or dawdles where a key says so. */
import { parentPort, threadId } from 'node:worker_threads';
import type { FromWorker, ToWorker } from './messages.ts';

const port = parentPort;
if (port === null) throw new Error('runs as a worker thread');
const send = (message: FromWorker): void => {
  port.postMessage(message);
};
/** How long a key `slow` keeps its worker from anything else. */
const slowMs = 200;
const values = new Map<string, string>();

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'changes':
      for (const { key, value } of message.changes) {
        if (value === String(threadId) || value === 'any') {
          if (key === 'exit') process.exit(3);
          if (key === 'throw') throw new Error('as the test asked');
          if (key === 'hang') for (;;);
          if (key === 'slow') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, slowMs);
        }
        if (value === undefined) values.delete(key);
        else values.set(key, value);
      }
      send({ type: 'applied', revision: message.revision, errors: [] });
      break;
    case 'listen':
      send(
        values.has('refuse-to-listen')
          ? { type: 'listen-failed', setting: 'test', message: 'the port is taken' }
          : { type: 'listening' },
      );
      break;
    case 'metrics':
      send({
        type: 'metrics',
        id: message.id,
        metrics: [
          {
            name: 'fixture',
            type: 'gauge',
            help: '',
            labels: ['thread', 'values'],
            buckets: [],
            series: [{ labels: [String(threadId), JSON.stringify([...values])], value: 1, counts: [] }],
          },
        ],
      });
      break;
    case 'stop':
      process.exit(0);
      break;
    default:
  }
});
