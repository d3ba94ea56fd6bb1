package api_test

import (
	"context"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
)

type formIn struct {
	Name   string
	Count  *int
	Force  *bool
	Keys   []string
	Tags   []struct{ Key, Value string }
	Nested struct {
		Arn string `form:"arn"`
	}
}

type formOut struct {
	Names []string     `xml:"Names>member"`
	At    *api.XMLTime `xml:",omitempty"`
}

// ask sends a form to a handler that returns what it got.
func ask(body string) (*formIn, *api.Request, error) {
	r := api.NewRequest(api.Request{Service: "iam", Operation: "Do", Body: []byte(body)}, nil)
	var got *formIn
	_, err := api.FormXML(func(_ context.Context, _ *api.Request, in *formIn) (*formOut, error) {
		got = in
		return nil, nil //nolint:nilnil // an operation without a result
	})(context.Background(), r)
	return got, r, err
}

func TestFormXMLReadsAWSsForms(t *testing.T) {
	in, r, err := ask("Action=Do&Version=2010-05-08&Name=a+b%26c&Count=7&Force=true&Keys.member.1=x&Keys.member.2=y" +
		"&Tags.member.1.Key=k1&Tags.member.1.Value=v1&Tags.member.2.Key=k2&Tags.member.2.Value=&Nested.arn=arn")
	require.NoError(t, err)
	require.Equal(t, "a b&c", in.Name)
	require.Equal(t, 7, *in.Count)
	require.True(t, *in.Force)
	require.Equal(t, []string{"x", "y"}, in.Keys)
	require.Len(t, in.Tags, 2)
	require.Equal(t, "k2", in.Tags[1].Key)
	require.Equal(t, "arn", in.Nested.Arn)
	require.Equal(t, map[string]any{
		"name": "a b&c", "count": 7, "force": true, "keys": []any{"x", "y"}, "nested": map[string]any{"arn": "arn"},
		"tags": []any{map[string]any{"key": "k1", "value": "v1"}, map[string]any{"key": "k2"}},
	}, r.TrailParams)

	in, _, err = ask("Action=Do&Keys=")
	require.NoError(t, err)
	require.Nil(t, in.Count)
	require.Nil(t, in.Force)
	require.Empty(t, in.Keys)
}

func TestFormXMLRefuses(t *testing.T) {
	for body, code := range map[string]string{
		"Action=Do&Colour=red":           api.ErrUnsupportedMember,
		"Action=Do&Keys.member.2=x":      api.ErrUnsupportedMember, // lists count from 1
		"Action=Do&Tags.member.1.Kind=x": api.ErrUnsupportedMember,
		"Action=Do&Count=many":           "MalformedInput",
		"Action=Do&Force=perhaps":        "MalformedInput",
		"Action=Do&Name=%zz":             "MalformedQueryString",
	} {
		_, _, err := ask(body)
		var e *api.Error
		require.ErrorAs(t, err, &e, body)
		require.Equal(t, code, e.Code, body)
	}
}

func TestQueryWritesXML(t *testing.T) {
	p := api.Query{Namespace: "https://iam.amazonaws.com/doc/2010-05-08/"}
	r := &api.Request{Operation: "ListNames", ID: "id-1"}
	w := httptest.NewRecorder()
	at := time.Date(2026, 3, 1, 13, 0, 0, 5, time.FixedZone("", 3600))
	require.NoError(t, p.Write(w, r, http.StatusOK, &formOut{[]string{"a<b", "c"}, api.NewXMLTime(at)}))
	require.Equal(t, `<ListNamesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListNamesResult><Names><member>a&lt;b</member><member>c</member></Names><At>2026-03-01T12:00:00Z</At></ListNamesResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></ListNamesResponse>`, w.Body.String())
	require.NoError(t, xml.Unmarshal(w.Body.Bytes(), &struct{}{}))

	w = httptest.NewRecorder()
	p.WriteError(w, r, api.StatusErrorf(http.StatusNotFound, "NoSuchEntity", "no <role>"))
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), "<Code>NoSuchEntity</Code><Message>no &lt;role&gt;</Message>")
	require.Nil(t, api.NewXMLTime(time.Time{}))
}

// FuzzFormXML looks for forms that crash the decoder.
func FuzzFormXML(f *testing.F) {
	f.Add("Action=Do&Name=a&Count=1&Tags.member.1.Key=k&Nested.arn=x")
	f.Add("Keys.member.1=x&Keys.member.3=y&Tags.member.1=z&Nested=5")
	f.Fuzz(func(t *testing.T, body string) {
		_, _, err := ask(body)
		var e *api.Error
		if err != nil {
			require.ErrorAs(t, err, &e)
		}
	})
}
