package drivetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A discovery is Google's description of the API (the format is that of its
// Discovery service, version 1).
type discovery struct {
	ServicePath string               `json:"servicePath"`
	Parameters  map[string]parameter `json:"parameters"`
	Schemas     map[string]*schema   `json:"schemas"`
	Resources   map[string]struct {
		Methods map[string]*method `json:"methods"`
	} `json:"resources"`
}

type method struct {
	ID          string               `json:"id"`
	HTTPMethod  string               `json:"httpMethod"`
	Path        string               `json:"path"`
	Parameters  map[string]parameter `json:"parameters"`
	Request     *schema              `json:"request"`
	Response    *schema              `json:"response"`
	MediaUpload *struct {
		Protocols map[string]struct {
			Path string `json:"path"`
		} `json:"protocols"`
	} `json:"mediaUpload"`
}

type parameter struct {
	Type     string   `json:"type"`
	Location string   `json:"location"`
	Enum     []string `json:"enum"`
	Minimum  string   `json:"minimum"`
	Maximum  string   `json:"maximum"`
}

type schema struct {
	Ref         string             `json:"$ref"`
	Type        string             `json:"type"`
	Format      string             `json:"format"`
	Description string             `json:"description"`
	Properties  map[string]*schema `json:"properties"`
	Additional  *schema            `json:"additionalProperties"`
	Items       *schema            `json:"items"`
}

// loadDiscovery returns the description that lies beside Google's own Go client.
func loadDiscovery(t testing.TB) *discovery {
	t.Helper()
	d, err := readDiscovery()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// readDiscovery finds and reads it, once in a process: finding it runs the go
// command.
var readDiscovery = sync.OnceValues(func() (*discovery, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	pkg, err := build.Import("google.golang.org/api/drive/v3", dir, build.FindOnly)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(pkg.Dir, "drive-api.json"))
	if err != nil {
		return nil, err
	}
	d := &discovery{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, err
	}
	if d.Schemas["File"] == nil || len(d.Resources["files"].Methods) < 10 {
		return nil, errors.New("drivetest: that is not the description of Drive")
	}
	return d, nil
})

// find returns the method of a request and the values in its path.
func (d *discovery) find(verb, path string) (*method, map[string]string) {
	var best *method
	var values map[string]string
	for _, resource := range []string{"about", "files"} {
		for _, m := range d.Resources[resource].Methods {
			found, ok := match(m.Path, path)
			if ok && m.HTTPMethod == verb && (best == nil || len(found) < len(values)) { // files/generateIds is no fileId
				best, values = m, found
			}
		}
	}
	return best, values
}

// match holds a path against a template such as files/{fileId}.
func match(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	values := map[string]string{}
	for i, part := range want {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			values[strings.TrimSuffix(name, "}")] = got[i]
		} else if part != got[i] {
			return nil, false
		}
	}
	return values, true
}

// checkQuery returns what is wrong with the parameters, or "".
func (d *discovery) checkQuery(m *method, query url.Values) string {
	for name, values := range query {
		p, ok := m.Parameters[name]
		if !ok {
			p, ok = d.Parameters[name]
		}
		if !ok || p.Location != "query" {
			return "no parameter " + name
		}
		if len(values) != 1 {
			return name + " twice"
		}
		if bad := p.check(values[0]); bad != "" {
			return name + ": " + bad
		}
	}
	return ""
}

func (p parameter) check(value string) string {
	switch p.Type {
	case "integer":
		n, err := strconv.Atoi(value)
		least, _ := strconv.Atoi(p.Minimum)
		most, _ := strconv.Atoi(p.Maximum)
		if err != nil || p.Minimum != "" && n < least || p.Maximum != "" && n > most {
			return "not a number, or out of bounds"
		}
	case "boolean":
		if value != "true" && value != "false" {
			return "not true or false"
		}
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, value) {
		return "not one of the words"
	}
	return ""
}

// resolve follows a reference.
func (d *discovery) resolve(s *schema) *schema {
	if s != nil && s.Ref != "" {
		return d.Schemas[s.Ref]
	}
	return s
}

// check returns what is wrong with a value, or "". sent means that a client
// wrote it, who may not set what is output only.
func (d *discovery) check(s *schema, value any, sent bool) string {
	s = d.resolve(s)
	switch v := value.(type) {
	case map[string]any:
		if s.Type != "object" {
			return "an object where none is"
		}
		for name, inner := range v {
			next := s.Properties[name]
			if next == nil {
				next = s.Additional
			}
			if next == nil {
				return "no field " + name
			}
			if sent && strings.HasPrefix(next.Description, "Output only") {
				return name + " is output only"
			}
			if bad := d.check(next, inner, sent); bad != "" {
				return name + ": " + bad
			}
		}
	case []any:
		if s.Type != "array" {
			return "a list where none is"
		}
		for _, inner := range v {
			if bad := d.check(s.Items, inner, sent); bad != "" {
				return bad
			}
		}
	case string:
		return s.checkString(v)
	case bool:
		if s.Type != "boolean" {
			return "a truth where none is"
		}
	default:
		return fmt.Sprintf("a %T", value) // numbers of this API are 64-bit and thus strings
	}
	return ""
}

func (s *schema) checkString(v string) string {
	if s.Type != "string" {
		return "a string where none is"
	}
	switch s.Format {
	case "int64":
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return "not a number"
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return "not a time"
		}
	}
	return ""
}

// uploadPath is where the method takes bytes, or "".
func (m *method) uploadPath() string {
	if m.MediaUpload == nil {
		return ""
	}
	return m.MediaUpload.Protocols["simple"].Path
}

// A mask is the parameter fields: which parts of an answer are wanted.
type mask map[string]mask

// parseMask reads "a,b(c,d/e)".
func parseMask(text string) (mask, bool) {
	m, rest, ok := parseMaskList(text)
	return m, ok && rest == ""
}

func parseMaskList(text string) (m mask, rest string, ok bool) {
	m = mask{}
	for {
		end := strings.IndexAny(text, ",()/")
		if end < 0 {
			end = len(text)
		}
		name := text[:end]
		if name == "" {
			return nil, "", false
		}
		text = text[end:]
		inner := mask{}
		switch {
		case strings.HasPrefix(text, "("):
			if inner, text, ok = parseMaskList(text[1:]); !ok || !strings.HasPrefix(text, ")") {
				return nil, "", false
			}
			text = text[1:]
		case strings.HasPrefix(text, "/"):
			if inner, text, ok = parseMaskList(text[1:]); !ok {
				return nil, "", false
			}
		}
		m[name] = inner
		if !strings.HasPrefix(text, ",") {
			return m, text, true
		}
		text = text[1:]
	}
}

// checkMask returns what is wrong with a mask, or "".
func (d *discovery) checkMask(s *schema, m mask) string {
	if s = d.resolve(s); s != nil && s.Type == "array" {
		s = d.resolve(s.Items)
	}
	for name, inner := range m {
		if name == "*" {
			continue
		}
		if s == nil || s.Properties[name] == nil {
			return "fields has no " + name
		}
		if len(inner) > 0 {
			if bad := d.checkMask(s.Properties[name], inner); bad != "" {
				return bad
			}
		}
	}
	return ""
}

// apply leaves what the mask wants.
func (m mask) apply(value any) any {
	if _, all := m["*"]; all || len(m) == 0 {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, inner := range m {
			if part, ok := v[name]; ok {
				out[name] = inner.apply(part)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = m.apply(v[i])
		}
		return out
	}
	return value
}

// methodOf finds what a request is of, or nil.
func (d *discovery) methodOf(r *http.Request) (m *method, values map[string]string, upload bool) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if inner, ok := strings.CutPrefix(path, "upload/"); ok {
		m, values = d.find(r.Method, strings.TrimPrefix(inner, d.ServicePath))
		if m == nil || !strings.HasPrefix(m.uploadPath(), "/upload/") {
			return nil, nil, true
		}
		return m, values, true
	}
	inner, ok := strings.CutPrefix(path, d.ServicePath)
	if !ok {
		return nil, nil, false
	}
	m, values = d.find(r.Method, inner)
	return m, values, false
}
