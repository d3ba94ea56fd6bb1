package dynamodb

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// Global tables, version 2019.11.21: replicas of a table in other regions, any of
// which takes writes. Here all have a write at once, even those whose region is
// down; on AWS it takes about a second, and the last writer wins.

type streamSpecification struct {
	StreamEnabled  bool
	StreamViewType string `json:",omitempty"`
}

type replicaUpdate struct {
	Create, Update, Delete *replicaChange
}

type replicaChange struct {
	RegionName         string
	KMSMasterKeyID     string `json:"KMSMasterKeyId"`
	TableClassOverride string
}

type replicaDescription struct {
	RegionName    string
	ReplicaStatus string
}

// others are the table's replicas in other regions, by region.
type others map[string]*table

// every is the table with its replicas.
func (t *table) every() []*table {
	list := []*table{t}
	for _, region := range slices.Sorted(maps.Keys(t.replicas)) {
		list = append(list, t.replicas[region])
	}
	return list
}

// replicate makes or removes a replica. s.mu is held.
func (s *Service) replicate(ctx context.Context, r *api.Request, t *table, update replicaUpdate) error {
	switch {
	case update.Create != nil:
		return s.addReplica(ctx, r, t, update.Create)
	case update.Delete != nil:
		if err := r.Authorize(ctx, api.Check{Action: "dynamodb:DeleteTableReplica", Resource: t.arn}); err != nil {
			return err
		}
		replica := t.replicas[update.Delete.RegionName]
		if replica == nil {
			return api.Errorf("ValidationException", "Replica specified in the Replica Update or Replica Delete action of the request was not found.")
		}
		s.drop(place{r.Account, update.Delete.RegionName}, replica)
		return nil
	}
	return api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support changes of replicas.")
}

func (s *Service) addReplica(ctx context.Context, r *api.Request, t *table, in *replicaChange) error {
	if err := r.Authorize(ctx, api.Check{Action: "dynamodb:CreateTableReplica", Resource: t.arn}); err != nil {
		return err
	}
	there := place{r.Account, in.RegionName}
	switch {
	case in.KMSMasterKeyID != "" || in.TableClassOverride != "":
		return api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support keys and classes of replicas.")
	case in.RegionName == r.Region:
		return api.Errorf("ValidationException", "Cannot add, delete, or update the local region through ReplicaUpdates. Use CreateTable, DeleteTable, or UpdateTable as required.")
	case !t.stream.StreamEnabled || t.stream.StreamViewType != "NEW_AND_OLD_IMAGES":
		return api.Errorf("ValidationException", "Table must have DynamoDB Streams enabled with StreamViewType set to NEW_AND_OLD_IMAGES")
	case s.tables[there][t.name] != nil:
		return api.Errorf("ValidationException", "Failed to create a the new replica of table with name: '%s' because one or more replicas already existed as tables.", t.name)
	}
	replica := *t
	replica.arn, replica.id, replica.created = api.ARN("dynamodb", in.RegionName, r.Account, "table/"+t.name), uuid.NewString(), s.env.Clock.Now()
	replica.protected, replica.recovery = false, false
	replica.tags, replica.items, replica.replicas = map[string]string{}, slices.Clone(t.items), others{}
	for _, other := range t.every() {
		region := regionOf(other)
		replica.replicas[region] = other
		other.replicas[in.RegionName] = &replica
	}
	if s.tables[there] == nil {
		s.tables[there] = map[string]*table{}
	}
	s.tables[there][t.name] = &replica
	return nil
}

// drop deletes a table and tells its replicas. s.mu is held.
func (s *Service) drop(at place, t *table) {
	delete(s.tables[at], t.name)
	for _, other := range t.replicas {
		delete(other.replicas, at.region)
	}
}

func regionOf(t *table) string { return arnRegion.FindStringSubmatch(t.arn)[1] }

// showReplicas adds to a description what global tables have.
func (t *table) showReplicas(d *description) {
	if t.stream.StreamEnabled {
		label := t.created.UTC().Format("2006-01-02T15:04:05.000")
		d.StreamSpecification, d.LatestStreamLabel, d.LatestStreamArn = &t.stream, label, t.arn+"/stream/"+label
	}
	for _, region := range slices.Sorted(maps.Keys(t.replicas)) {
		d.GlobalTableVersion = "2019.11.21"
		d.Replicas = append(d.Replicas, replicaDescription{region, "ACTIVE"})
	}
}
