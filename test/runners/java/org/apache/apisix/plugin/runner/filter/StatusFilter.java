package org.apache.apisix.plugin.runner.filter;

import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.PostRequest;
import org.apache.apisix.plugin.runner.PostResponse;
import org.springframework.stereotype.Component;

/** Says which status the upstream gave. It needs no variable and no body: the runner runs it before it reads another frame. */
@Component
public class StatusFilter implements PluginFilter {
    @Override
    public String name() {
        return "StatusFilter";
    }

    @Override
    public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
        chain.filter(request, response);
    }

    @Override
    public void postFilter(PostRequest request, PostResponse response, PluginFilterChain chain) {
        response.setHeader("X-Status", String.valueOf(request.getUpstreamStatusCode()));
        response.setHeader("X-Type", request.getUpstreamHeaders().get("content-type"));
        chain.postFilter(request, response);
    }
}
