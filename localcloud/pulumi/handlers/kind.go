package handlers

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// errNotFound is what a kind's read returns for a resource that AWS doesn't
// have, or has only until its deletion is over.
var errNotFound = errors.New("resource not found")

// kind is one resource type. S is its struct of properties.
type kind[S any] struct {
	// token is Pulumi's name of the type, "aws:kms/key:Key".
	token string

	// check tells what is wrong with inputs that Pulumi's types let pass.
	// Optional; in a preview, unknown properties have their zero value.
	check func(s *S) error

	// replaces tells whether a change of a property between two sets of inputs replaces
	// the resource, for properties where that depends on others. Optional.
	replaces func(property string, before, after *S) bool

	// create makes the resource and returns its ID. If it made the resource
	// but couldn't finish it, it returns the ID together with the error.
	create func(ctx context.Context, c *clients, s *S) (id string, err error)

	// read overwrites s with what AWS has, or returns errNotFound. On entry s
	// is the last known state (when importing: empty), from which read keeps
	// the spelling of what AWS writes differently but means the same.
	read func(ctx context.Context, c *clients, id string, s *S) error

	// update changes the resource from old to s. Without it, every change
	// replaces.
	update func(ctx context.Context, c *clients, id string, old, s *S) error

	// remove deletes the resource. One that is gone already is no error.
	remove func(ctx context.Context, c *clients, id string, s *S) error
}

// assetHolder is a struct of properties with an asset or archive among them,
// which can't be decoded as the others are.
type assetHolder interface {
	takeAssets(from resource.PropertyMap)
}

// resourceType is a kind without its type parameter.
type resourceType interface {
	name() string
	properties() []property
	checkInputs(inputs resource.PropertyMap) error
	replacesOn(property string, old, inputs resource.PropertyMap) bool
	doCreate(ctx context.Context, c *clients, inputs resource.PropertyMap) (id string, state resource.PropertyMap, err error)
	doRead(ctx context.Context, c *clients, id string, state, inputs resource.PropertyMap) (resource.PropertyMap, error)
	doUpdate(ctx context.Context, c *clients, id string, old, inputs resource.PropertyMap) (resource.PropertyMap, error)
	doRemove(ctx context.Context, c *clients, id string, state resource.PropertyMap) error
}

func (k kind[S]) name() string { return k.token }

func (k kind[S]) properties() []property { return propertiesOf(reflect.TypeFor[S]()) }

func (k kind[S]) decode(from resource.PropertyMap) (*S, error) {
	s := new(S)
	if err := decode(k.properties(), from, s); err != nil {
		return nil, err
	}
	if holder, ok := any(s).(assetHolder); ok {
		holder.takeAssets(from)
	}
	return s, nil
}

func (k kind[S]) checkInputs(inputs resource.PropertyMap) error {
	s, err := k.decode(inputs)
	if err != nil {
		return err
	}
	if k.check == nil {
		return nil
	}
	return k.check(s)
}

func (k kind[S]) replacesOn(property string, old, inputs resource.PropertyMap) bool {
	if k.update == nil {
		return true
	}
	if k.replaces == nil {
		return false
	}
	before, err := k.decode(old)
	if err != nil {
		return false
	}
	after, err := k.decode(inputs)
	if err != nil {
		return false
	}
	return k.replaces(property, before, after)
}

func (k kind[S]) doCreate(ctx context.Context, c *clients, inputs resource.PropertyMap) (string, resource.PropertyMap, error) {
	s, err := k.decode(inputs)
	if err != nil {
		return "", nil, err
	}
	id, err := k.create(ctx, c, s)
	if id == "" {
		return "", nil, err
	}
	if readErr := k.read(ctx, c, id, s); readErr != nil {
		err = errors.Join(err, fmt.Errorf("read what was created: %w", readErr))
	}
	state, encodeErr := encode(k.properties(), s, inputs)
	return id, state, errors.Join(err, encodeErr)
}

func (k kind[S]) doRead(ctx context.Context, c *clients, id string, state, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	s, err := k.decode(state)
	if err != nil {
		return nil, err
	}
	if err := k.read(ctx, c, id, s); err != nil {
		return nil, err
	}
	secrets := inputs
	if len(secrets) == 0 {
		secrets = state
	}
	return encode(k.properties(), s, secrets)
}

func (k kind[S]) doUpdate(ctx context.Context, c *clients, id string, old, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	before, err := k.decode(old)
	if err != nil {
		return nil, err
	}
	// What the program leaves to AWS stays as it is.
	merged := inputs.Copy()
	for _, p := range k.properties() {
		key := resource.PropertyKey(p.name)
		if value, known := old[key]; known && p.output && !merged.HasValue(key) {
			merged[key] = value
		}
	}
	after, err := k.decode(merged)
	if err != nil {
		return nil, err
	}
	if err := k.update(ctx, c, id, before, after); err != nil {
		return nil, err
	}
	if err := k.read(ctx, c, id, after); err != nil {
		return nil, fmt.Errorf("read what was updated: %w", err)
	}
	return encode(k.properties(), after, inputs)
}

func (k kind[S]) doRemove(ctx context.Context, c *clients, id string, state resource.PropertyMap) error {
	s, err := k.decode(state)
	if err != nil {
		return err
	}
	return k.remove(ctx, c, id, s)
}

// kinds are the resource types that have a handler.
func kinds() []resourceType {
	return []resourceType{
		aliasKind(),
		attachmentKind(),
		bucketKind(),
		bucketEncryptionKind(),
		bucketLifecycleKind(),
		bucketObjectKind(),
		bucketObjectLockKind(),
		bucketOwnershipKind(),
		bucketPolicyKind(),
		bucketPublicAccessBlockKind(),
		bucketVersioningKind(),
		budgetKind(),
		dashboardKind(),
		eventRuleKind(),
		eventTargetKind(),
		functionKind(),
		invocationKind(),
		keyKind(),
		layerPermissionKind(),
		layerVersionKind(),
		logGroupKind(),
		metricAlarmKind(),
		metricFilterKind(),
		permissionKind(),
		policyKind(),
		queueKind(),
		queuePolicyKind(),
		replicaKeyKind(),
		roleKind(),
		rolePolicyKind(),
		scheduleKind(),
		secretKind(),
		secretPolicyKind(),
		secretRotationKind(),
		tableKind(),
		topicKind(),
		topicPolicyKind(),
		topicSubscriptionKind(),
		trailKind(),
	}
}
