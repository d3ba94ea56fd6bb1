package localcloud

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/localcloud/quotas"
)

const controlPrefix = "/_localcloud/"

// serveControl is the control API, for tests in any language:
//
//	GET    /_localcloud/health        {"status":"ok","account":…,"time":…}
//	POST   /_localcloud/reset         forget all state, faults included
//	GET    /_localcloud/clock         {"time":…}
//	POST   /_localcloud/clock         {"advance":"720h"}: move it and wait for what happens
//	POST   /_localcloud/settle        wait until nothing runs in the background
//	GET    /_localcloud/faults        the faults that are on
//	POST   /_localcloud/faults        switch one on: {"kind":"throttle","service":…}
//	DELETE /_localcloud/faults        switch all off
//	GET    /_localcloud/quotas        calls that were over a quota and how often
//	POST   /_localcloud/quotas        switch AWS's default quotas on
//	DELETE /_localcloud/quotas        switch them off
//	GET    /_localcloud/unsupported   refused calls and how often
//
// It needs no signature: whoever reaches the port may use it.
func (c *Cloud) serveControl(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+controlPrefix+"health", func(w http.ResponseWriter, _ *http.Request) {
		controlReply(w, http.StatusOK, map[string]any{
			"status": "ok", "account": c.Account(), "time": c.Clock().Now(),
		})
	})
	mux.HandleFunc("POST "+controlPrefix+"reset", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.Reset(); err != nil {
			controlError(w, http.StatusInternalServerError, err.Error())
			return
		}
		c.replyClock(w)
	})
	mux.HandleFunc("GET "+controlPrefix+"clock", func(w http.ResponseWriter, _ *http.Request) { c.replyClock(w) })
	mux.HandleFunc("POST "+controlPrefix+"clock", c.controlClock)
	mux.HandleFunc("POST "+controlPrefix+"settle", func(w http.ResponseWriter, r *http.Request) {
		if err := c.Settle(r.Context()); err != nil {
			controlError(w, http.StatusGatewayTimeout, err.Error())
			return
		}
		c.replyClock(w)
	})
	mux.HandleFunc("GET "+controlPrefix+"faults", func(w http.ResponseWriter, _ *http.Request) {
		controlReply(w, http.StatusOK, c.Faults.List())
	})
	mux.HandleFunc("POST "+controlPrefix+"faults", c.controlAddFault)
	mux.HandleFunc("DELETE "+controlPrefix+"faults", func(w http.ResponseWriter, _ *http.Request) {
		c.Faults.Clear()
		controlReply(w, http.StatusOK, c.Faults.List())
	})
	mux.HandleFunc("GET "+controlPrefix+"quotas", func(w http.ResponseWriter, _ *http.Request) {
		controlReply(w, http.StatusOK, c.Quotas.Throttled())
	})
	mux.HandleFunc("POST "+controlPrefix+"quotas", func(w http.ResponseWriter, _ *http.Request) {
		c.Quotas.Set(quotas.AWS()...)
		controlReply(w, http.StatusCreated, c.Quotas.Throttled())
	})
	mux.HandleFunc("DELETE "+controlPrefix+"quotas", func(w http.ResponseWriter, _ *http.Request) {
		c.Quotas.Set()
		controlReply(w, http.StatusOK, c.Quotas.Throttled())
	})
	mux.HandleFunc("GET "+controlPrefix+"unsupported", func(w http.ResponseWriter, _ *http.Request) {
		controlReply(w, http.StatusOK, c.Unsupported())
	})
	mux.ServeHTTP(w, r)
}

func (c *Cloud) replyClock(w http.ResponseWriter) {
	controlReply(w, http.StatusOK, map[string]any{"time": c.Clock().Now()})
}

func (c *Cloud) controlClock(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Advance string `json:"advance"`
	}
	if !controlDecode(w, r, &in) {
		return
	}
	d, err := time.ParseDuration(in.Advance)
	if err != nil {
		controlError(w, http.StatusBadRequest, `advance must be a duration such as "720h"`)
		return
	}
	if err := c.Advance(r.Context(), d); err != nil {
		controlError(w, http.StatusBadRequest, err.Error())
		return
	}
	c.replyClock(w)
}

func (c *Cloud) controlAddFault(w http.ResponseWriter, r *http.Request) {
	var f faults.Fault
	if !controlDecode(w, r, &f) {
		return
	}
	if _, err := c.Faults.Add(f); err != nil {
		controlError(w, http.StatusBadRequest, err.Error())
		return
	}
	controlReply(w, http.StatusCreated, c.Faults.List())
}

func controlDecode(w http.ResponseWriter, r *http.Request, in any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		controlError(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

func controlReply(w http.ResponseWriter, status int, out any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}

func controlError(w http.ResponseWriter, status int, message string) {
	controlReply(w, status, map[string]string{"error": message})
}
