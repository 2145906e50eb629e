// A runner for the tests: Apache's Go plugin runner, as its users build one, with small plugins of ours.
package main

import (
	"bytes"
	"encoding/json"
	"net/http"

	api "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
	"github.com/apache/apisix-go-plugin-runner/pkg/runner"
	"go.uber.org/zap/zapcore"
)

// Conf is what any of the plugins below may be given.
type Conf struct {
	Body        string            `json:"body"`
	Path        string            `json:"path"`
	Status      int               `json:"status"`
	Variable    string            `json:"variable"`
	Headers     map[string]string `json:"headers"`
	Args        map[string]string `json:"args"`
	RespHeaders map[string]string `json:"resp_headers"`
}

// Base parses the configuration and does nothing else.
type Base struct{ plugin.DefaultPlugin }

// ParseConf reads the JSON text of the route.
func (*Base) ParseConf(in []byte) (interface{}, error) {
	conf := Conf{}
	err := json.Unmarshal(in, &conf)
	return conf, err
}

// Say answers by itself.
type Say struct{ Base }

// Name is what a route calls it by.
func (*Say) Name() string { return "say" }

// RequestFilter ends the request where a body is configured.
func (*Say) RequestFilter(conf interface{}, w http.ResponseWriter, _ api.Request) {
	if body := conf.(Conf).Body; body != "" {
		w.Header().Add("X-Resp-A6-Runner", "Go")
		_, _ = w.Write([]byte(body))
	}
}

// Rewrite changes what goes upstream; an empty header or argument is deleted.
type Rewrite struct{ Base }

// Name is what a route calls it by.
func (*Rewrite) Name() string { return "rewrite" }

// RequestFilter applies the configuration.
func (*Rewrite) RequestFilter(conf interface{}, _ http.ResponseWriter, r api.Request) {
	c := conf.(Conf)
	if c.Path != "" {
		r.SetPath([]byte(c.Path))
	}
	for name, value := range c.Headers {
		if value == "" {
			r.Header().Del(name)
		} else {
			r.Header().Set(name, value)
		}
	}
	for name, value := range c.Args {
		if value == "" {
			r.Args().Del(name)
		} else {
			r.Args().Set(name, value)
		}
	}
	for name, value := range c.RespHeaders {
		r.RespHeader().Set(name, value)
	}
}

// Inspect answers with what it saw of the request.
type Inspect struct{ Base }

// Name is what a route calls it by.
func (*Inspect) Name() string { return "inspect" }

// RequestFilter asks for a variable and the body, which takes two more messages.
func (*Inspect) RequestFilter(conf interface{}, w http.ResponseWriter, r api.Request) {
	variable, err := r.Var(conf.(Conf).Variable)
	if err != nil {
		panic(err)
	}
	body, err := r.Body()
	if err != nil {
		panic(err)
	}
	seen, _ := json.Marshal(map[string]interface{}{
		"method": r.Method(), "path": string(r.Path()), "address": r.SrcIP().String(), "args": r.Args(),
		"headers": r.Header().View(), "variable": string(variable), "body": string(body),
	})
	_, _ = w.Write(seen)
}

// Respond changes the response: its status, its headers, and its body to upper case.
type Respond struct{ Base }

// Name is what a route calls it by.
func (*Respond) Name() string { return "respond" }

// ResponseFilter asks for the response's body.
func (*Respond) ResponseFilter(conf interface{}, w api.Response) {
	c := conf.(Conf)
	body, err := w.ReadBody()
	if err != nil {
		panic(err)
	}
	for name, value := range c.Headers {
		if value == "" {
			w.Header().Del(name)
		} else {
			w.Header().Set(name, value)
		}
	}
	if c.Status != 0 {
		w.WriteHeader(c.Status)
	}
	_, _ = w.Write(bytes.ToUpper(body))
}

func main() {
	for _, p := range []plugin.Plugin{&Say{}, &Rewrite{}, &Inspect{}, &Respond{}} {
		if err := plugin.RegisterPlugin(p); err != nil {
			panic(err)
		}
	}
	runner.Run(runner.RunnerConfig{LogLevel: zapcore.WarnLevel})
}
