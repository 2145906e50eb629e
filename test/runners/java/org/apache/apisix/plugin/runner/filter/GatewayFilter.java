package org.apache.apisix.plugin.runner.filter;

import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.PostRequest;
import org.apache.apisix.plugin.runner.PostResponse;
import org.springframework.stereotype.Component;

/** A plugin for Apache's Java runner; the runner finds plugins in this package. Its configuration is one word. */
@Component
public class GatewayFilter implements PluginFilter {
    @Override
    public String name() {
        return "GatewayFilter";
    }

    /** The runner asks for it before it runs the plugin. */
    @Override
    public List<String> requiredVars() {
        return Collections.singletonList("request_method");
    }

    @Override
    public Boolean requiredBody() {
        return true;
    }

    @Override
    public Boolean requiredRespBody() {
        return true;
    }

    @Override
    public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
        if ("stop".equals(request.getConfig(this))) {
            response.setStatusCode(201);
            response.setHeader("X-Resp-A6-Runner", "Java");
            response.setBody(request.getVars("request_method") + " " + request.getPath() + " " + request.getArg("a") + " "
                + request.getHeader("x-a") + " " + request.getBody());
            return;
        }
        request.setPath("/from/java");
        request.setHeader("X-From", "Java");
        request.setArg("b", "2");
        chain.filter(request, response);
    }

    @Override
    public void postFilter(PostRequest request, PostResponse response, PluginFilterChain chain) {
        response.setStatusCode(203);
        // Not getUpstreamStatusCode(): by now the runner has reused the bytes that hold it.
        response.setBody(request.getBody().toUpperCase(Locale.ROOT));
        chain.postFilter(request, response);
    }
}
