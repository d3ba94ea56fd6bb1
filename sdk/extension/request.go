package extension

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// SecretRequest asks for a version of a secret.
type SecretRequest struct {
	ID      string // name, ARN or partial ARN
	Version string // "": any
	Stage   string // "": AWSCURRENT, unless Version is given
	Refresh bool   // read past the cache
}

// ParameterRequest asks for a parameter of the Parameter Store.
type ParameterRequest struct {
	Name    string // or ARN
	Version string // a number, "": the newest
	Label   string // "": none; not together with Version
	Decrypt bool   // a SecureString; else its value is ciphertext
	Refresh bool   // read past the cache
}

// refusal is a request that is answered without asking the cache, in plain text
// as AWS's agent does.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func badRequest(text string) error { return &refusal{http.StatusBadRequest, text} }

// request is a SecretRequest or a ParameterRequest.
type request interface {
	read(ctx context.Context, from source) ([]byte, error)
}

func (r SecretRequest) read(ctx context.Context, from source) ([]byte, error) {
	return from.Secret(ctx, r)
}

func (r ParameterRequest) read(ctx context.Context, from source) ([]byte, error) {
	return from.Parameter(ctx, r)
}

const pathPrefix = "/v1/"

// parse reads the path and the query of a request. The error is a refusal.
func parse(u *url.URL) (request, error) {
	var read func(*url.URL) (request, error)
	switch {
	case u.Path == "/secretsmanager/get", strings.HasPrefix(u.Path, pathPrefix):
		read = parseSecret
	case strings.TrimSuffix(u.Path, "/") == "/systemsmanager/parameters/get": // AWS's pages have it with and without the slash
		read = parseParameter
	default:
		return nil, &refusal{http.StatusNotFound, "Not found"}
	}
	return read(u)
}

func parseSecret(u *url.URL) (request, error) {
	var (
		r      SecretRequest
		inPath bool
	)
	r.ID, inPath = strings.CutPrefix(u.Path, pathPrefix)
	if !inPath {
		r.ID = ""
	}
	err := eachParameter(u.RawQuery, func(name, value string) (err error) {
		switch {
		case name == "secretId" && !inPath:
			r.ID = value
		case name == "versionId":
			r.Version = value
		case name == "versionStage":
			r.Stage = value
		case name == "refreshNow":
			r.Refresh, err = parseBool(name, value)
		default:
			err = badRequest("unknown parameter: " + name)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case r.ID == "" && inPath:
		return nil, badRequest("missing secret ID")
	case r.ID == "":
		return nil, badRequest("missing parameter secretId")
	}
	return r, nil
}

func parseParameter(u *url.URL) (request, error) {
	var r ParameterRequest
	err := eachParameter(u.RawQuery, func(name, value string) (err error) {
		switch name {
		case "name":
			r.Name = value
		case "version":
			if n, wrong := strconv.ParseInt(value, 10, 64); wrong != nil || n < 1 {
				return badRequest("invalid version value")
			}
			r.Version = value
		case "label":
			r.Label = value
		case "withDecryption":
			r.Decrypt, err = parseBool(name, value)
		case "refreshNow":
			r.Refresh, err = parseBool(name, value)
		default:
			err = badRequest("unknown parameter: " + name)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case r.Name == "":
		return nil, badRequest("missing parameter name")
	case r.Version != "" && r.Label != "":
		return nil, badRequest("version and label exclude each other")
	}
	return r, nil
}

// eachParameter calls f for the parameters of a query. Where one is given
// several times, the last one is used, as AWS's agent does. None may be empty.
func eachParameter(query string, f func(name, value string) error) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return badRequest("malformed query")
	}
	for name, all := range values {
		value := all[len(all)-1]
		if err := f(name, value); err != nil {
			return err
		}
		if value == "" {
			return badRequest("empty parameter: " + name)
		}
	}
	return nil
}

func parseBool(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, badRequest("invalid " + name + " value")
}
