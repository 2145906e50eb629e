/**
 * A plugin runner inside a test, on a unix socket: keeps the rules of the protocol, unless the test makes it break them. Configurations
 * get the tokens 1, 2, 3 … in the order in which they come, as in Apache's runners.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FrameReader } from '../../src/runners/wire/frame-reader.ts';
import { RpcType, type HttpRespCall } from '../../src/runners/wire/schema.ts';
import {
  decodeInformation,
  decodePrepareConf,
  decodeRequestCall,
  decodeResponseCall,
  type PrepareConf,
  type RequestCall,
} from '../../runners/node/messages.ts';
import { changedResponse, confToken, goOn } from './runner-messages.ts';

/** Bytes to send; undefined: nothing, the gateway waits. */
type Answer = Uint8Array | undefined;

export interface Behaviour {
  /** Default: the next token. */
  prepare?(conf: PrepareConf, token: number, socket: Socket): Answer | Promise<Answer>;
  /** Default: go on. `conf`: what its token stands for; `ask`: sends a question, resolves to its answer. */
  request?(call: RequestCall, conf: PrepareConf | undefined, ask: Ask, socket: Socket): Answer | Promise<Answer>;
  response?(call: HttpRespCall, conf: PrepareConf | undefined, ask: Ask, socket: Socket): Answer | Promise<Answer>;
}
export type Ask = (question: Buffer) => Promise<Buffer | undefined>;

export interface FakeRunner extends AsyncDisposable {
  readonly socket: string;
  behaviour: Behaviour;
  /** Since the start. */
  readonly prepared: PrepareConf[];
  readonly requests: RequestCall[];
  /** Connections that were accepted, and those that are open. */
  accepted: number;
  readonly open: ReadonlySet<Socket>;
  /** As if the process had been killed and started anew: connections gone, tokens forgotten, counting from 1. */
  restart(): Promise<void>;
  /** Nobody listens. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startFakeRunner(behaviour: Behaviour = {}): Promise<FakeRunner> {
  const directory = await mkdtemp(path.join(tmpdir(), 'runner-'));
  const socketPath = path.join(directory, 'r.sock');
  const open = new Set<Socket>();
  let confs: PrepareConf[] = [];

  const serve = (socket: Socket): void => {
    runner.accepted++;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    const reader = new FrameReader();
    let onAnswer: ((result: Buffer | undefined) => void) | undefined;
    const ask: Ask = (question) => {
      socket.write(question);
      return new Promise((resolve) => (onAnswer = resolve));
    };
    const answer = async (type: number, payload: Buffer): Promise<Answer> => {
      if (type === RpcType.prepareConf) {
        const conf = decodePrepareConf(payload);
        runner.prepared.push(conf);
        confs.push(conf);
        const token = confs.length;
        return runner.behaviour.prepare === undefined
          ? confToken(token)
          : await runner.behaviour.prepare(conf, token, socket);
      }
      if (type === RpcType.httpReqCall) {
        const call = decodeRequestCall(payload);
        runner.requests.push(call);
        const { request } = runner.behaviour;
        return request === undefined ? goOn(call.id) : await request(call, confs[call.confToken - 1], ask, socket);
      }
      const call = decodeResponseCall(payload);
      const { response } = runner.behaviour;
      return response === undefined
        ? changedResponse(call.id, {})
        : await response(call, confs[call.confToken - 1], ask, socket);
    };
    socket.on('data', (piece: Buffer) => {
      reader.push(piece);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (frame.type === RpcType.extraInfo) {
          onAnswer?.(decodeInformation(frame.payload));
          continue;
        }
        void answer(frame.type, frame.payload).then((bytes) => {
          if (bytes !== undefined && !socket.destroyed) socket.write(bytes);
        });
      }
    });
  };
  let server = createServer(serve);
  const start = (): Promise<void> =>
    new Promise((resolve) => {
      server = createServer(serve);
      server.listen(socketPath, () => {
        resolve();
      });
    });
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      confs = [];
      server.close(() => {
        resolve();
      });
      for (const socket of open) socket.destroy();
    });

  const runner: FakeRunner = {
    socket: socketPath,
    behaviour,
    prepared: [],
    requests: [],
    accepted: 0,
    open,
    start,
    stop,
    async restart() {
      await stop();
      await start();
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await start();
  return runner;
}
