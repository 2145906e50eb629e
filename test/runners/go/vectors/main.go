// Writes test/vectors/ext-plugin/frames.json: every message of the external-plugin protocol, built by the official
// FlatBuffers library over the accessors that the protocol's authors publish, with what each frame means.
// Run it in test/runners/go: go run ./vectors > ../../vectors/ext-plugin/frames.json
package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"

	"github.com/api7/ext-plugin-proto/go/A6"
	errs "github.com/api7/ext-plugin-proto/go/A6/Err"
	ei "github.com/api7/ext-plugin-proto/go/A6/ExtraInfo"
	req "github.com/api7/ext-plugin-proto/go/A6/HTTPReqCall"
	resp "github.com/api7/ext-plugin-proto/go/A6/HTTPRespCall"
	pc "github.com/api7/ext-plugin-proto/go/A6/PrepareConf"
	fb "github.com/google/flatbuffers/go"
)

type object = map[string]any

type vector struct {
	Name  string `json:"name"`
	From  string `json:"from"`
	Type  byte   `json:"type"`
	Hex   string `json:"hex"`
	Means object `json:"means"`
}

// An entry without a value stands for the deletion of that name.
type entry struct {
	name  string
	value *string
}

func set(name, value string) entry { return entry{name, &value} }
func del(name string) entry        { return entry{name, nil} }

func means(entries []entry) [][]any {
	list := [][]any{}
	for _, e := range entries {
		if e.value == nil {
			list = append(list, []any{e.name, nil})
		} else {
			list = append(list, []any{e.name, *e.value})
		}
	}
	return list
}

func entries(b *fb.Builder, list []entry) fb.UOffsetT {
	offsets := make([]fb.UOffsetT, len(list))
	for i, e := range list {
		name := b.CreateString(e.name)
		var value fb.UOffsetT
		if e.value != nil {
			value = b.CreateString(*e.value)
		}
		A6.TextEntryStart(b)
		A6.TextEntryAddName(b, name)
		if e.value != nil {
			A6.TextEntryAddValue(b, value)
		}
		offsets[i] = A6.TextEntryEnd(b)
	}
	b.StartVector(4, len(list), 4)
	for i := len(list) - 1; i >= 0; i-- {
		b.PrependUOffsetT(offsets[i])
	}
	return b.EndVector(len(list))
}

var vectors []vector

func add(name, from string, kind byte, meaning object, build func(b *fb.Builder) fb.UOffsetT) {
	b := fb.NewBuilder(0)
	b.Finish(build(b))
	payload := b.FinishedBytes()
	frame := make([]byte, 4, 4+len(payload))
	binary.BigEndian.PutUint32(frame, uint32(len(payload)))
	frame[0] = kind
	vectors = append(vectors, vector{name, from, kind, hex.EncodeToString(append(frame, payload...)), meaning})
}

func stop(name string, id uint32, status uint16, headers []entry, body []byte) {
	meaning := object{"message": "HTTPReqCall.Resp", "id": id, "action": "stop", "status": status, "headers": means(headers)}
	if body != nil {
		meaning["body_hex"] = hex.EncodeToString(body)
	}
	add(name, "runner", 2, meaning, func(b *fb.Builder) fb.UOffsetT {
		var h, data fb.UOffsetT
		if headers != nil {
			h = entries(b, headers)
		}
		if body != nil {
			data = b.CreateByteVector(body)
		}
		req.StopStart(b)
		req.StopAddStatus(b, status)
		if headers != nil {
			req.StopAddHeaders(b, h)
		}
		if body != nil {
			req.StopAddBody(b, data)
		}
		action := req.StopEnd(b)
		return answer(b, id, req.ActionStop, action)
	})
}

func answer(b *fb.Builder, id uint32, kind req.Action, action fb.UOffsetT) fb.UOffsetT {
	req.RespStart(b)
	req.RespAddId(b, id)
	req.RespAddActionType(b, kind)
	req.RespAddAction(b, action)
	return req.RespEnd(b)
}

func rewrite(name string, id uint32, path *string, headers, args, respHeaders []entry, body []byte) {
	meaning := object{"message": "HTTPReqCall.Resp", "id": id, "action": "rewrite"}
	if path != nil {
		meaning["path"] = *path
	}
	if headers != nil {
		meaning["headers"] = means(headers)
	}
	if args != nil {
		meaning["args"] = means(args)
	}
	if respHeaders != nil {
		meaning["resp_headers"] = means(respHeaders)
	}
	if body != nil {
		meaning["body_hex"] = hex.EncodeToString(body)
	}
	add(name, "runner", 2, meaning, func(b *fb.Builder) fb.UOffsetT {
		var p, h, a, r, d fb.UOffsetT
		if path != nil {
			p = b.CreateString(*path)
		}
		if headers != nil {
			h = entries(b, headers)
		}
		if args != nil {
			a = entries(b, args)
		}
		if respHeaders != nil {
			r = entries(b, respHeaders)
		}
		if body != nil {
			d = b.CreateByteVector(body)
		}
		req.RewriteStart(b)
		if path != nil {
			req.RewriteAddPath(b, p)
		}
		if headers != nil {
			req.RewriteAddHeaders(b, h)
		}
		if args != nil {
			req.RewriteAddArgs(b, a)
		}
		if respHeaders != nil {
			req.RewriteAddRespHeaders(b, r)
		}
		if body != nil {
			req.RewriteAddBody(b, d)
		}
		return answer(b, id, req.ActionRewrite, req.RewriteEnd(b))
	})
}

func main() {
	add("PrepareConf with two plugins and a key", "gateway", 1,
		object{"message": "PrepareConf.Req", "key": "k1", "conf": [][]any{{"say", `{"body":"hello"}`}, {"stop", ""}}},
		func(b *fb.Builder) fb.UOffsetT {
			conf := entries(b, []entry{set("say", `{"body":"hello"}`), set("stop", "")})
			key := b.CreateString("k1")
			pc.ReqStart(b)
			pc.ReqAddConf(b, conf)
			pc.ReqAddKey(b, key)
			return pc.ReqEnd(b)
		})
	add("PrepareConf without plugins", "gateway", 1, object{"message": "PrepareConf.Req", "conf": [][]any{}},
		func(b *fb.Builder) fb.UOffsetT {
			pc.ReqStart(b)
			return pc.ReqEnd(b)
		})
	for _, token := range []uint32{1, 4294967295, 0} {
		name := map[uint32]string{1: "a conf token", 4294967295: "the largest conf token", 0: "conf token 0, which is the default and not on the wire"}[token]
		add(name, "runner", 1, object{"message": "PrepareConf.Resp", "conf_token": token}, func(b *fb.Builder) fb.UOffsetT {
			pc.RespStart(b)
			pc.RespAddConfToken(b, token)
			return pc.RespEnd(b)
		})
	}

	headers := []entry{set("host", "a.example"), set("x-many", "1"), set("x-many", "2"), set("x-empty", "")}
	args := []entry{set("q", "a b"), set("q", "ü"), del("flag")}
	add("HTTPReqCall with repeated headers, and an argument without a value", "gateway", 2,
		object{"message": "HTTPReqCall.Req", "id": 7, "src_ip_hex": "7f000001", "method": "POST", "path": "/a/ü", "conf_token": 1,
			"args": means(args), "headers": means(headers)},
		func(b *fb.Builder) fb.UOffsetT {
			ip := b.CreateByteVector([]byte{127, 0, 0, 1})
			path := b.CreateString("/a/ü")
			a := entries(b, args)
			h := entries(b, headers)
			req.ReqStart(b)
			req.ReqAddId(b, 7)
			req.ReqAddSrcIp(b, ip)
			req.ReqAddMethod(b, A6.MethodPOST)
			req.ReqAddPath(b, path)
			req.ReqAddArgs(b, a)
			req.ReqAddHeaders(b, h)
			req.ReqAddConfToken(b, 1)
			return req.ReqEnd(b)
		})
	add("HTTPReqCall by IPv6, GET (the default method, not on the wire), nothing else", "gateway", 2,
		object{"message": "HTTPReqCall.Req", "id": 8, "src_ip_hex": "00000000000000000000000000000001", "method": "GET", "path": "/", "conf_token": 2,
			"args": [][]any{}, "headers": [][]any{}},
		func(b *fb.Builder) fb.UOffsetT {
			ip := b.CreateByteVector(append(make([]byte, 15), 1))
			path := b.CreateString("/")
			req.ReqStart(b)
			req.ReqAddId(b, 8)
			req.ReqAddSrcIp(b, ip)
			req.ReqAddPath(b, path)
			req.ReqAddConfToken(b, 2)
			return req.ReqEnd(b)
		})
	add("HTTPReqCall answered by: go on", "runner", 2, object{"message": "HTTPReqCall.Resp", "id": 7, "action": "none"},
		func(b *fb.Builder) fb.UOffsetT {
			req.RespStart(b)
			req.RespAddId(b, 7)
			return req.RespEnd(b)
		})
	stop("HTTPReqCall answered by Stop", 7, 201, []entry{set("X-Resp-A6-Runner", "Python"), set("Set-Cookie", "a=1"), set("Set-Cookie", "b=2")}, []byte("Hello"))
	stop("Stop with nothing in it: status 0 means 200", 7, 0, nil, nil)
	stop("Stop with a binary body", 7, 500, nil, []byte{0, 255, 13, 10})
	path := "/new path"
	rewrite("HTTPReqCall answered by Rewrite of everything", 7, &path,
		[]entry{set("X-Add", "1"), del("X-Drop"), set("host", "b.example")},
		[]entry{set("q", "1"), set("q", "2"), del("flag")},
		[]entry{set("X-Resp", "r1"), set("X-Resp", "r2")}, []byte("new body"))
	rewrite("Rewrite with nothing in it", 7, nil, nil, nil, nil, nil)
	rewrite("Rewrite to an empty body", 7, nil, nil, nil, nil, []byte{})

	add("ExtraInfo asks for a variable", "runner", 3, object{"message": "ExtraInfo.Req", "info": "var", "name": "remote_addr"},
		func(b *fb.Builder) fb.UOffsetT {
			name := b.CreateString("remote_addr")
			ei.VarStart(b)
			ei.VarAddName(b, name)
			info := ei.VarEnd(b)
			ei.ReqStart(b)
			ei.ReqAddInfoType(b, ei.InfoVar)
			ei.ReqAddInfo(b, info)
			return ei.ReqEnd(b)
		})
	for _, body := range []struct {
		info ei.Info
		name string
	}{{ei.InfoReqBody, "req_body"}, {ei.InfoRespBody, "resp_body"}} {
		add("ExtraInfo asks for "+body.name, "runner", 3, object{"message": "ExtraInfo.Req", "info": body.name},
			func(b *fb.Builder) fb.UOffsetT {
				ei.ReqBodyStart(b)
				info := ei.ReqBodyEnd(b)
				ei.ReqStart(b)
				ei.ReqAddInfoType(b, body.info)
				ei.ReqAddInfo(b, info)
				return ei.ReqEnd(b)
			})
	}
	add("ExtraInfo answered", "gateway", 3, object{"message": "ExtraInfo.Resp", "result_hex": hex.EncodeToString([]byte("127.0.0.1"))},
		func(b *fb.Builder) fb.UOffsetT {
			data := b.CreateByteVector([]byte("127.0.0.1"))
			ei.RespStart(b)
			ei.RespAddResult(b, data)
			return ei.RespEnd(b)
		})
	add("ExtraInfo answered: there is no such value", "gateway", 3, object{"message": "ExtraInfo.Resp"},
		func(b *fb.Builder) fb.UOffsetT {
			ei.RespStart(b)
			return ei.RespEnd(b)
		})

	respHeaders := []entry{set("content-type", "text/plain"), set("set-cookie", "a=1"), set("set-cookie", "b=2")}
	add("HTTPRespCall", "gateway", 4, object{"message": "HTTPRespCall.Req", "id": 9, "status": 404, "headers": means(respHeaders), "conf_token": 3},
		func(b *fb.Builder) fb.UOffsetT {
			h := entries(b, respHeaders)
			resp.ReqStart(b)
			resp.ReqAddId(b, 9)
			resp.ReqAddStatus(b, 404)
			resp.ReqAddHeaders(b, h)
			resp.ReqAddConfToken(b, 3)
			return resp.ReqEnd(b)
		})
	changed := []entry{set("X-Resp", "1"), del("X-Drop")}
	add("HTTPRespCall answered by another status, headers and body", "runner", 4,
		object{"message": "HTTPRespCall.Resp", "id": 9, "status": 200, "headers": means(changed), "body_hex": hex.EncodeToString([]byte("other"))},
		func(b *fb.Builder) fb.UOffsetT {
			h := entries(b, changed)
			data := b.CreateByteVector([]byte("other"))
			resp.RespStart(b)
			resp.RespAddId(b, 9)
			resp.RespAddStatus(b, 200)
			resp.RespAddHeaders(b, h)
			resp.RespAddBody(b, data)
			return resp.RespEnd(b)
		})
	add("HTTPRespCall answered by: as it is", "runner", 4, object{"message": "HTTPRespCall.Resp", "id": 9, "status": 0},
		func(b *fb.Builder) fb.UOffsetT {
			resp.RespStart(b)
			resp.RespAddId(b, 9)
			return resp.RespEnd(b)
		})
	for code, word := range []string{"BAD_REQUEST", "SERVICE_UNAVAILABLE", "CONF_TOKEN_NOT_FOUND"} {
		add("the error "+word, "runner", 0, object{"message": "Err.Resp", "code": word}, func(b *fb.Builder) fb.UOffsetT {
			errs.RespStart(b)
			errs.RespAddCode(b, errs.Code(code))
			return errs.RespEnd(b)
		})
	}

	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(object{"vectors": vectors}); err != nil {
		panic(err)
	}
}
