"""Plugins that the tests run, as text of their files."""

#: As the documentation of Apache's runner prints it: written for Apache's runner.
STOP = '''
from typing import Any
from apisix.runner.http.request import Request
from apisix.runner.http.response import Response
from apisix.runner.plugin.core import PluginBase


class Stop(PluginBase):

    def name(self) -> str:
        """Name of the plugin registered in runner"""
        return "stop"

    def config(self, conf: Any) -> Any:
        """Parsing plugin configuration"""
        return conf

    def filter(self, conf: Any, request: Request, response: Response):
        # Print plugin configuration
        print(conf)

        # Get request nginx variables `host`
        host = request.get_var("host")
        print(host)

        # Get the request body
        body = request.get_body()
        print(body)

        # Set the response header
        response.set_header("X-Resp-A6-Runner", "Python")

        # Set the response body
        response.set_body("Hello, Python Runner of APISIX")

        # Set the response status
        response.set_status_code(201)
'''

PLUGINS = '''
import asyncio, dataclasses, sys, time
from typing import List, Literal, Optional
from gatewright_runner import PluginBase

class Rewrite(PluginBase):
    def name(self): return "rewrite"
    def filter(self, conf, request, response):
        request.set_header("X-Resp-A6-Runner", "Python")
        request.remove_header("x-secret")
        request.set_arg("a6_runner", "Python")
        request.set_arg("many", ["1", "2"])
        request.remove_arg("gone")
        request.set_uri("/a6/python/runner")
        request.set_body(b"new\\x00body")
        request.set_response_header("X-Seen", "yes")

class Echo(PluginBase):
    """Answers with what it sees."""
    def name(self): return "echo"
    def filter(self, conf, request, response):
        seen = [request.get_id(), request.get_method(), request.get_uri(), request.get_remote_addr(),
                request.get_header("X-MANY"), request.get_header_values("x-many"), request.get_arg("q"),
                request.get_arg_values("q"), request.get_arg("flag"), request.get_header("none"), request.get_arg("none")]
        response.set_body(repr(seen))

class Nothing(PluginBase):
    def name(self): return "nothing"
    def filter(self, conf, request, response): pass

class Throws(PluginBase):
    def name(self): return "throws"
    def filter(self, conf, request, response):
        {"IndexError": lambda: [][1], "exit": lambda: sys.exit(3), "raise": lambda: 1 / 0}[conf]()

class Hangs(PluginBase):
    def name(self): return "hangs"
    def filter(self, conf, request, response):
        if conf == "sleep": time.sleep(30)
        while True: pass

class AsyncPlugin(PluginBase):
    def name(self): return "async"
    async def filter(self, conf, request, response):
        if conf == "hang": await asyncio.sleep(60)
        if conf == "throw": raise ValueError("async")
        await asyncio.sleep(0)
        host, body = await asyncio.gather(request.get_var_async("host"), request.get_body_bytes_async())
        response.set_body(host.encode() + b" " + body)

class Checked(PluginBase):
    schema = {"type": "object", "required": ["limit"], "additionalProperties": False,
              "properties": {"limit": {"type": "integer", "minimum": 1}, "mode": {"enum": ["a", "b"], "default": "a"}}}
    def name(self): return "checked"
    def filter(self, conf, request, response):
        response.set_body(repr(sorted(conf.items())))

@dataclasses.dataclass
class Limit:
    count: int
    name: str = "x"
    hosts: List[str] = dataclasses.field(default_factory=list)
    mode: Optional[Literal["a", "b"]] = None

class Data(PluginBase):
    config_class = Limit
    def name(self): return "data"
    def filter(self, conf, request, response): response.set_body(repr(conf))

class Upstream(PluginBase):
    def name(self): return "upstream"
    def response_filter(self, conf, response):
        response.set_status_code(418)
        response.set_header("X-Len", str(len(response.get_body_bytes())))
        response.remove_header("Set-Cookie")
        response.set_body(response.get_header("content-type") + response.get_var("uri"))

class Injects(PluginBase):
    def name(self): return "injects"
    def filter(self, conf, request, response):
        request.set_header("x-a", "1\\r\\nx-admin: 1")
'''

MODULE = '''
name = "module"

def filter(conf, request, response):
    response.set_status_code(204)
'''
