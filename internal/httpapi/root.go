package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/fault"
)

// rootView is what GET /api says of this service.
type rootView struct {
	Message     string    `json:"message"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Collections []string  `json:"collections"`
	Queue       queueView `json:"queue"`
}

type queueView struct {
	Durability string `json:"durability" enum:"fsync-always,fsync-everysec,memory,unknown" doc:"What a 202 survives: a crash of the machine, one that is more than a second past, none, or nobody knows"`
}

func (a *API) routeRoot() {
	a.route(&huma.Operation{
		Method: http.MethodGet, Path: "/api", OperationID: "get-service", Tags: []string{"service"},
		Summary:   "What this service is",
		Responses: a.answers(http.StatusOK, jsonAnswer("The service", a.schemaOf(rootView{})), fault.InvalidParameter),
	}, access{}, a.getRoot)
	a.serve(http.MethodGet, "/openapi.json", nil, access{}, func(x *exchange, _ *http.Request) error {
		return writeBytes(x, http.StatusOK, a.spec)
	})
}

// getRoot serves GET /api.
func (a *API) getRoot(x *exchange, r *http.Request) error {
	v := rootView{Message: "Hello, Backend!", Name: "waybill", Version: a.o.Version, Collections: []string{}}
	for _, c := range a.o.Collections.All() {
		v.Collections = append(v.Collections, c.Name)
	}
	v.Queue.Durability = a.o.Durability(r.Context())
	return writeJSON(x, http.StatusOK, v)
}
