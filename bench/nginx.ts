/** The peers and the upstream: Debian's nginx, one worker, no access log, connections kept. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findCommand } from '../test/services/requirements.ts';
import { accepts, freePorts, LOAD_CORE, SERVER_CORE, startChild, temporaryFolder, waitUntil } from './child.ts';
import { apiKey, TARGET, type RunningSystem, type System } from './system.ts';

/** Bytes of the upstream's answer. */
export const BODY_BYTES = 128;

const LUA_MODULES = ['ndk_http_module.so', 'ngx_http_lua_module.so'].map((file) => `/usr/lib/nginx/modules/${file}`);

/** Runs nginx with one server block on a free port. */
async function startNginx(core: number, modules: readonly string[], http: string, server: string) {
  const { folder, remove } = await temporaryFolder();
  const [port = 0] = await freePorts(1);
  const config = path.join(folder, 'nginx.conf');
  await writeFile(
    config,
    `${modules.map((module) => `load_module ${module};`).join('\n')}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 16384; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  ${http}
  server {
    listen 127.0.0.1:${port};
    ${server}
  }
}
`,
  );
  // The error log option keeps nginx from opening the system's before it has read the configuration.
  const args = ['-p', folder, '-c', config, '-e', `${folder}/error.log`];
  const child = startChild(core, findCommand('nginx') ?? 'nginx', args);
  await waitUntil(child, () => accepts(port));
  return {
    pid: child.pid,
    port,
    stop: async () => {
      await child.stop();
      await remove();
    },
  };
}

/** The service behind every system: a small fixed answer, on the load's core. */
export function startUpstream(): Promise<RunningSystem> {
  const location = `location / { default_type text/plain; return 200 "${'x'.repeat(BODY_BYTES)}"; }`;
  return startNginx(LOAD_CORE, [], '', location);
}

function startProxy(upstreamPort: number, modules: readonly string[], access: string): Promise<RunningSystem> {
  const upstream = `upstream service {
    server 127.0.0.1:${upstreamPort};
    keepalive 64;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }`;
  const location = `location / {
      ${access}
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }`;
  return startNginx(SERVER_CORE, modules, upstream, location);
}

export const nginx: System = {
  name: 'nginx',
  what: 'reverse proxy, no check: the unit',
  start: (upstreamPort) => startProxy(upstreamPort, [], ''),
};

export const nginxLua: System = {
  name: 'nginx + Lua',
  what: 'reverse proxy, one header compared in access_by_lua',
  start: (upstreamPort) =>
    startProxy(
      upstreamPort,
      LUA_MODULES,
      `access_by_lua_block { if ngx.var.http_apikey ~= "${apiKey(TARGET)}" then return ngx.exit(401) end }`,
    ),
};
